// One task: what was asked, what came of it, and what may be done about it.

import { html, useCallback, useEffect, useRef, useState } from "./preact.js";
import { get, post } from "./api.js";
import { Batch } from "./batch.js";
import { Graph } from "./graph.js";
import { follow } from "./live.js";
import { Do, Empty, Json, number, Status, Time, took, useLook, usePoll, Wrong } from "./parts.js";

const OPEN = ["queued", "scheduled", "running"];
const KEPT = 2000; // lines of the log
const PICTURED = 40; // tasks that it follows

function Fields({ of }) {
  return html`<dl class="fields">${of.filter(([, value]) => ![null, undefined, "", false].includes(value)).map(
    ([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Progress({ of }) {
  if (!of) return null;
  const { done, total, message } = of;
  return html`<div class="card progress"><label>${message ?? "Progress"}
    <progress value=${total ? done : undefined} max=${total || undefined}></progress></label>
    <span class="n">${done}${total ? ` of ${total}` : ""}</span></div>`;
}

const REASONS = {
  paused: (one) => html`Its queue is paused${one.by && `, by ${one.by}`}${one.since && html`, <${Time} at=${one.since} />`}.`,
  scheduled: (one) => html`Its time comes <${Time} at=${one.run_at} />.`,
  held: (one) => html`It is held; unless it is released, it is cancelled <${Time} at=${one.until} />.`,
  limit: (one) => `It is over the ${one.kind} of ${one.limit}${one.key === null ? "" : ` for ${one.key}`}, of which ${one.running.length} run.`,
  place: (one) => (one.ahead === 0 ? "It is the next." : `${number(one.ahead)}${one.more ? " or more" : ""} go before it.`),
  no_consumer: (one) => `Nobody takes tasks of the queue ${one.queue}.`,
  no_action: (one) => `This application has no action ${one.action}.`,
  key_missing: (one) => `Its data is encrypted with the key ${one.key}, which this server does not have.`,
  no_queue: (one) => `This application has no queue ${one.queue}.`,
  after: (one) => `It follows ${number(one.count)}${one.more ? " or more" : ""} that have not ended.`,
};
const wordsOf = (one) => REASONS[one.reason]?.(one) ?? JSON.stringify(one);

function Why({ id }) {
  const { data } = usePoll(`tasks/${id}/why`);
  const reasons = data?.waiting_for ?? [];
  return reasons.length > 0 && html`<section><h2>Why it waits</h2>
    <ul class="why">${reasons.map((one) => html`<li>${wordsOf(one)}</li>`)}</ul></section>`;
}

function Attempts({ of }) {
  return html`<section><h2>Attempts</h2><ol class="attempts">${of.map((one) => html`<li key=${one.attempt}>
    <p><b>Attempt ${one.attempt}</b> · ${one.error ? html`<span class="wrong">${one.error.type}</span>` : "went well"}
      ${" · "}<${Time} at=${one.ended_at} />${" · "}took ${took(one.started_at, one.ended_at)}</p>
    ${one.error && html`<p class="message">${one.error.message}</p>`}
    ${one.error?.traceback && html`<details><summary>Traceback</summary><pre tabindex="0">${one.error.traceback}</pre></details>`}
  </li>`)}</ol></section>`;
}

/** What the task says while it runs. Its events tell all of the log again where they begin anew. */
function useEvents(path, changed) {
  const [said, setSaid] = useState({ lines: [], progress: null, live: false });
  useEffect(() => {
    setSaid({ lines: [], progress: null, live: false });
    return follow(`${path}/events`, (kind, data) => {
      if (kind === "status") changed();
      if (kind === "progress") setSaid((old) => ({ ...old, progress: data }));
      if (kind === "log") setSaid((old) => ({ ...old, lines: [...old.lines, data].slice(-KEPT) }));
    }, (live) => setSaid((old) => ({ ...old, live })));
  }, [path]);
  return said;
}

function Log({ lines }) {
  return html`<section><h2>Log</h2><div class="log" tabindex="0" role="log" aria-label="Log">
    ${lines.map((line, place) => html`<p key=${place}>${line.dropped > 0 && html`<i>${number(line.dropped)} lines were not kept</i> `}
      <time datetime=${line.at} title=${line.at}>${line.at.slice(11, 23)}</time> <span>${line.message}</span></p>`)}
  </div></section>`;
}

function Steps({ of }) {
  return html`<section><h2>Steps</h2><ol class="steps">${of.map((one) => html`<li key=${one.name}>
    <b>${one.name}</b> <span class="hint">took ${took(one.started_at, one.ended_at)}, <${Time} at=${one.ended_at} /></span></li>`)}
  </ol></section>`;
}

/** What the task follows, and what those follow, as far as there is room; those that have ended are asked for once. */
function useBefore(task) {
  const [found, setFound] = useState([]);
  const ended = useRef(new Map());
  const first = task.after?.join() ?? "";
  const look = useCallback(async () => {
    const all = new Map();
    const left = first === "" ? [] : first.split(",");
    while (left.length > 0 && all.size < PICTURED) {
      const id = left.shift();
      if (all.has(id)) continue;
      const one = ended.current.get(id) ?? (await get(`tasks/${id}`).catch(() => ({ id, action: "pruned", status: "unknown" })));
      if (!OPEN.includes(one.status)) ended.current.set(id, one);
      all.set(id, one);
      left.push(...(one.after ?? []));
    }
    setFound([...all.values()]);
  }, [first, task.status]);
  useLook(look);
  return found;
}

function Before({ task }) {
  const found = useBefore(task);
  if (found.length === 0) return null;
  const known = new Set([task.id, ...found.map((one) => one.id)]);
  const nodes = [task, ...found].map(({ id, name, action, status }) => (
    { id, title: name ?? action, note: `${id.slice(-12)} · ${status}`, state: status, href: `#/tasks/${id}` }));
  const all = [task, ...found].flatMap(({ id, after }) => (after ?? []).map((other) => ({ source: id, target: other, field: "after" })));
  const arrows = all.filter(({ target }) => known.has(target));
  return html`<section><div class="title"><h2>What it follows</h2>
      ${arrows.length < all.length && html`<span class="hint">the nearest ${number(found.length)} of them</span>`}</div>
    <${Graph} label="What the task follows" nodes=${nodes} arrows=${arrows} marked=${task.id} onward /></section>`;
}

export function Task({ rest: [id] }) {
  const path = `tasks/${encodeURIComponent(id)}`;
  const { data: task, error, reload } = usePoll(path, 1000);
  const said = useEvents(path, reload);
  if (task === null) return error ? html`<h1>Task</h1><${Wrong} error=${error} />` : null;
  const open = OPEN.includes(task.status);
  const again = ["failed", "cancelled"].includes(task.status);
  return html`
    <p class="path"><a href="#/tasks">Tasks</a> / <span class="id">${task.id}</span></p>
    <div class="title"><h1>${task.action}</h1> <${Status} of=${task.status} />
      ${open && html`<${Do} label="Cancel" kind="bad" run=${() => post(`${path}/cancel`)} done=${reload} />`}
      ${again && html`<${Do} label="Run again" kind="main" run=${() => post(`${path}/retry`)} done=${reload} />`}
    </div>
    <${Wrong} error=${error} />
    <${Progress} of=${open && said.live ? said.progress ?? task.progress : task.progress} />
    ${task.error && html`<div class="card failed" role="note"><h2>${task.error.type}</h2>
      <p class="message">${task.error.message}</p></div>`}
    <${Fields} of=${[
      ["Queue", html`<a href="#/tasks?queue=${encodeURIComponent(task.queue)}">${task.queue}</a>`],
      ["Created", html`<${Time} at=${task.created_at} />`],
      ["Held until", task.held_until && html`<${Time} at=${task.held_until} />`],
      ["Expires", open && task.expires_at && html`<${Time} at=${task.expires_at} />`],
      ["Name", task.name],
      ["Due", task.run_at && html`<${Time} at=${task.run_at} />`],
      ["Started", task.started_at && html`<${Time} at=${task.started_at} />`],
      ["Ended", task.finished_at && html`<${Time} at=${task.finished_at} />`],
      ["Took", task.started_at && took(task.started_at, task.finished_at)],
      ["Attempts", `${task.attempt} of ${task.max_attempts}`],
      ["Priority", task.priority || null],
      ["Key", task.key],
      ["Tags", task.tags.join(", ")],
    ]} />
    <div class="pair">
      <section><h2>Data</h2><${Json} value=${task.data} label="Data" /></section>
      <section><h2>Result</h2>${task.result === null
        ? html`<${Empty}>${open ? "Not yet." : "None."}<//>`
        : html`<${Json} value=${task.result} label="Result" />`}</section>
    </div>
    ${["queued", "scheduled"].includes(task.status) && html`<${Why} id=${task.id} />`}
    <${Before} task=${task} />
    ${task.batch && html`<${Batch} key=${task.batch} id=${task.batch} />`}
    ${said.lines.length > 0 && html`<${Log} lines=${said.lines} />`}
    ${task.steps?.length > 0 && html`<${Steps} of=${task.steps} />`}
    ${task.attempts?.length > 0 && html`<${Attempts} of=${task.attempts} />`}`;
}
