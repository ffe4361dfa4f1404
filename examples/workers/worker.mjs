// A worker for the action `thumbnail`, which says how far each task has come. Usage: node worker.mjs [URL]
import { setTimeout as sleep } from 'node:timers/promises';

const url = process.argv[2] ?? 'http://localhost:8080';
const held = new Map(); // the tasks that it has, by id: their leases, and what is new of their progress
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

// What the task is. It may call `progress` as often as it likes.
async function thumbnail({ url, width }, progress) {
  for (const [done, step] of ['fetched', 'scaled', 'stored'].entries()) {
    await sleep(100); // the work
    progress({ done: done + 1, total: 3, message: step });
  }
  return { thumbnail: `${url}?width=${width}` };
}

async function handle({ id, lease, data }) {
  const own = { id, lease };
  held.set(id, own);
  try {
    let result;
    try {
      result = await thumbnail(data, (progress) => { own.progress = progress; });
    } catch (error) {
      const { name: type, message, stack: traceback } = error;
      await say(`/tasks/${id}/fail`, { lease, error: { type, message, traceback } });
      return;
    }
    await say(`/tasks/${id}/complete`, { lease, result });
  } catch (error) {
    console.error(`task ${id}: ${error.message}`); // such as 409: the lease has run out, another has the task
  } finally {
    held.delete(id);
  }
}

// One heartbeat for many tasks: it keeps them, and tells what is new of their progress.
async function beat(which) {
  const tasks = [...held.values()].filter(which).map((own) => ({ ...own }));
  for (const { id } of tasks) delete held.get(id).progress;
  if (tasks.length > 0) await say('/tasks/heartbeat', { tasks }).catch(() => {});
}

const beats = [
  setInterval(() => beat(() => true), 10_000),
  setInterval(() => beat((own) => own.progress), 150),
];
while (!stopping) {
  try {
    const body = { worker: `node ${process.pid}`, limit: 100, wait: 30, lease: 30 };
    const { tasks } = await say('/queues/thumbnails/claim', body, waiting.signal);
    await Promise.all(tasks.map(handle));
  } catch (error) {
    if (stopping) break;
    console.error(`no tasks: ${error.message}`);
    await sleep(1000);
  }
}
beats.forEach(clearInterval);
