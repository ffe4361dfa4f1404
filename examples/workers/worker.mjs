// A worker for the action `thumbnail`. Usage: node worker.mjs [URL]
const url = process.argv[2] ?? 'http://localhost:8080';
let stopping = false;
const waiting = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => { stopping = true; waiting.abort(); });
}

async function say(path, body, signal) {
  const answer = await fetch(url + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
  const said = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(said.detail), { status: answer.status });
  return said;
}

// What the task is.
async function thumbnail({ url, width }) {
  return { thumbnail: `${url}?width=${width}` };
}

async function handle({ id, lease, data }) {
  const beat = setInterval(() => say(`/tasks/${id}/heartbeat`, { lease }).catch(() => {}), 10_000);
  try {
    let result;
    try {
      result = await thumbnail(data);
    } catch (error) {
      const { name: type, message, stack: traceback } = error;
      await say(`/tasks/${id}/fail`, { lease, error: { type, message, traceback } });
      return;
    }
    await say(`/tasks/${id}/complete`, { lease, result });
  } catch (error) {
    console.error(`task ${id}: ${error.message}`); // such as 409: the lease has run out, another has the task
  } finally {
    clearInterval(beat);
  }
}

while (!stopping) {
  try {
    const body = { worker: `node ${process.pid}`, limit: 10, wait: 30, lease: 30 };
    const { tasks } = await say('/queues/thumbnails/claim', body, waiting.signal);
    await Promise.all(tasks.map(handle));
  } catch (error) {
    if (stopping) break;
    console.error(`no tasks: ${error.message}`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
