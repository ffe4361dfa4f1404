// What failed, by its error: one cause is one line, however many tasks it has.

import { html, useState } from "./preact.js";
import { get } from "./api.js";
import { Do, Empty, number, Time, usePoll, Wrong } from "./parts.js";
import { each } from "./selection.js";

const NEWEST = 1000;
const SHOWN = 5; // tasks of a group that are named

/** The same error of the same action, but for its numbers. */
function grouped(tasks) {
  const groups = new Map();
  for (const task of tasks) {
    const error = task.error ?? { type: "unknown", message: "" };
    const id = JSON.stringify([task.action, error.type, error.message.split("\n")[0].replaceAll(/\d+/g, "#")]);
    const group = groups.get(id) ?? { id, action: task.action, error, tasks: [] };
    group.tasks.push(task);
    groups.set(id, group);
  }
  return [...groups.values()].sort((one, other) => other.tasks.length - one.tasks.length);
}

/** A few go first; where they fail as before, the others stay. */
async function carefully(tasks, tell) {
  const tried = tasks.slice(0, 2);
  await each(tried, "retry");
  for (const task of tried) {
    const ended = await waited(task);
    if (ended.status !== "completed") {
      tell(`Stopped: ${ended.error?.type ?? ended.status}. The others are left as they are.`);
      return;
    }
  }
  await each(tasks.slice(2), "retry");
  tell(`All ${tasks.length} run again.`);
}

/** A task once it has ended, or has failed one more attempt. */
async function waited({ id, attempt }) {
  for (;;) {
    const task = await get(`tasks/${id}?wait=20`);
    const last = task.attempts.at(-1);
    if (task.finished_at !== null || (last?.error && last.attempt > attempt)) return task;
  }
}

function Group({ of, reload }) {
  const [told, setTold] = useState("");
  return html`<li class="card group">
    <div class="title"><h2>${of.error.type}</h2> <b class="count">${number(of.tasks.length)}</b>
      <span>of <a href="#/tasks?status=failed&action=${encodeURIComponent(of.action)}">${of.action}</a></span></div>
    <p class="message">${of.error.message}</p>
    <p class="hint">Newest <${Time} at=${of.tasks[0].finished_at} /> · ${of.tasks.slice(0, SHOWN).map(
      (task) => html` <a class="id" href="#/tasks/${task.id}">${task.id.slice(-12)}</a>`)}</p>
    <div class="buttons"><${Do} label="Run two, then the others" kind="main" done=${reload} run=${() => carefully(of.tasks, setTold)} />
    <${Do} label="Run all again" done=${reload} run=${() => each(of.tasks, "retry")} /></div>
    <p role="status" class="hint">${told}</p>
  </li>`;
}

export function Failures() {
  const { data, error, reload } = usePoll(`tasks?status=failed&limit=${NEWEST}`, 5000);
  const groups = grouped(data?.tasks ?? []);
  return html`
    <h1>Failures</h1>
    <${Wrong} error=${error} />
    ${data?.next && html`<p class="hint">Of the newest ${number(data.count)}; there are more.</p>`}
    ${data && groups.length === 0 && html`<${Empty}>Nothing has failed.<//>`}
    <ul class="groups">${groups.map((group) => html`<${Group} key=${group.id} of=${group} reload=${reload} />`)}</ul>`;
}
