/** Sends a request again where that can do no harm: it is only read, or it has an idempotency key. */

const TRIES = 5;
const LONGEST = 30_000; // milliseconds between two tries

/** A `fetch` that waits out a server that is away, or that asks for patience with 429 or 503 and Retry-After. */
export function patient(send: typeof fetch): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const harmless = request.method === "GET" || request.headers.has("Idempotency-Key");
    for (let tried = 1; ; tried++) {
      const last = !harmless || tried === TRIES;
      try {
        const answer = await send(request.clone());
        if (last || (answer.status !== 429 && answer.status !== 503)) return answer;
        await answer.body?.cancel();
        await rest(Number(answer.headers.get("Retry-After")) * 1000 || backoff(tried), request.signal);
      } catch (error) {
        if (last || request.signal.aborted) throw error;
        await rest(backoff(tried), request.signal);
      }
    }
  };
}

/** Milliseconds: exponential, with full jitter. */
function backoff(tried: number): number {
  return Math.random() * 100 * 2 ** tried;
}

/** Wait; throws the reason of a signal that comes meanwhile. */
export function rest(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done, stopped) => {
    const stop = () => stopped(signal?.reason);
    if (signal?.aborted) return stop();
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      done();
    }, Math.min(milliseconds, LONGEST));
    signal?.addEventListener("abort", () => (clearTimeout(timer), stop()), { once: true });
  });
}
