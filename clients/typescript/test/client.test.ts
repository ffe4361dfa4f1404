/** Against a real server, at TASKMILL_URL, with the actions that `taskmill init` writes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { NoResult, Refused, Taskmill } from "../src/index.js";

const url = process.env["TASKMILL_URL"];
if (url === undefined) throw new Error("TASKMILL_URL says where a server is");
const client = new Taskmill({ url });

test("a task goes in, and its result comes out", async () => {
  const { id, status } = await client.submit({ action: "count_words", data: { text: "to be or not" } });
  assert.equal(status, "queued");
  assert.equal(await client.result(id), 4);
  assert.equal((await client.get(id)).attempt, 1);
});

test("what the server refuses is told with its field", async () => {
  const wrong = { action: "count_words", data: { text: 5 } } as unknown as Parameters<typeof client.submit>[0];
  await assert.rejects(client.submit(wrong), (error: unknown) => {
    assert(error instanceof Refused);
    assert.equal(error.status, 400);
    assert.equal(error.fields[0]?.path, "data.text");
    return true;
  });
  await assert.rejects(client.get("01981a3e-77d0-7c4f-8f04-0a5c2f9f6a11"), { status: 404 });
});

test("a submission that is sent twice is one task", async () => {
  const twice = { action: "count_words", data: { text: "once" } } as const;
  const [first, second] = [await client.submit(twice, "same key"), await client.submit(twice, "same key")];
  assert.equal(first.id, second.id);
});

test("a server that asks for patience gets it, and only where that is harmless", async () => {
  let asked = 0;
  const busy: typeof fetch = async (input, init) => {
    asked += 1;
    return asked < 3 ? new Response("", { status: 503, headers: { "Retry-After": "0.01" } }) : fetch(input, init);
  };
  const patient = new Taskmill({ url, fetch: busy });
  const { id } = await patient.submit({ action: "count_words", data: { text: "a b" } });
  assert.equal(asked, 3);
  asked = 0;
  assert.equal((await patient.get(id)).id, id);
  assert.equal(asked, 3);
  asked = 0;
  await assert.rejects(patient.cancel(id));
  assert.equal(asked, 1);
});

test("a task that is cancelled has no result", async () => {
  const { id } = await client.submit({ action: "count_words", data: { text: "" }, delay: 60 });
  assert.equal((await client.cancel(id)).status, "cancelled");
  await assert.rejects(client.result(id), (error: unknown) => {
    assert(error instanceof NoResult);
    assert.equal(error.task.status, "cancelled");
    return true;
  });
});

test("all pages are walked", async () => {
  const texts = Array.from({ length: 7 }, (_, number) => `page ${number}`);
  for (const text of texts) {
    await client.submit({ action: "count_words", data: { text }, tags: ["walked"] });
  }
  const walked: unknown[] = [];
  for await (const task of client.tasks({ tag: "walked", limit: 3 })) walked.push(task.data);
  assert.deepEqual(walked, texts.toReversed().map((text) => ({ text })));
});

test("a wait can be given up", async () => {
  const { id } = await client.submit({ action: "count_words", data: { text: "" }, delay: 60 });
  await assert.rejects(client.wait(id, AbortSignal.timeout(200)), { name: "TimeoutError" });
  await client.cancel(id);
});

test("a task is watched from how it is now to its end", async () => {
  const { id } = await client.submit({ action: "count_words", data: { text: "" }, delay: 60 });
  const seen: string[] = [];
  let last = "";
  for await (const event of client.events(id)) {
    if (event.event !== "status") continue;
    seen.push(event.status);
    last = event.eventId;
    if (event.status === "scheduled") await client.cancel(id);
  }
  assert.deepEqual(seen, ["scheduled", "cancelled"]);
  for await (const event of client.events(id, { last })) assert.fail(`told twice: ${event.event}`);
  await assert.rejects(client.events("01981a3e-77d0-7c4f-8f04-0a5c2f9f6a11").next(), { status: 404 });
});

test("a stream that breaks goes on after its last event", async () => {
  const asked: (string | null)[] = [];
  const breaking: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init);
    const { url: path, headers } = input as Request;
    if (!path.includes("/events") || asked.push(headers.get("Last-Event-ID")) > 1) return answer;
    const reader = answer.body!.getReader();
    let text = "";
    const pull = async (out: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      if (text.includes("data:")) return out.error(new TypeError("broken"));
      const { value } = await reader.read();
      text += new TextDecoder().decode(value);
      out.enqueue(value!);
    };
    return new Response(new ReadableStream({ pull }), answer);
  };
  const cut = new Taskmill({ url, fetch: breaking });
  const { id } = await cut.submit({ action: "count_words", data: { text: "" }, delay: 60 });
  const seen: string[] = [];
  for await (const event of cut.events(id)) {
    assert.equal(event.event, "status");
    if (event.event !== "status") continue;
    seen.push(event.status);
    if (event.status === "scheduled") await client.cancel(id);
  }
  assert.deepEqual(seen, ["scheduled", "cancelled"]);
  assert.equal(asked.length, 2);
  assert.match(asked[1] ?? "", /^0\.scheduled\./);
});

test("all tasks are watched through filters, until one leaves or gives up", async () => {
  const watching = client.events({ tag: "watched" });
  const first = watching.next();
  const pulse = setInterval(() => {
    void client.submit({ action: "count_words", data: { text: "a b" }, tags: ["watched"] });
  }, 100);
  const { value } = await first;
  clearInterval(pulse);
  assert(value?.event === "status");
  assert.equal(value.action, "count_words");
  await watching.return();
  const given = client.events({ tag: "nothing" }, { signal: AbortSignal.timeout(200) });
  await assert.rejects(given.next(), { name: "TimeoutError" });
});
