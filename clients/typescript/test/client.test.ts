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
