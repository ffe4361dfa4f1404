// One task: what was asked, what came of it, and what may be done about it.

import { html } from "./preact.js";
import { post } from "./api.js";
import { Do, Empty, Json, Status, Time, took, usePoll, Wrong } from "./parts.js";

const OPEN = ["queued", "scheduled", "running"];

function Fields({ of }) {
  return html`<dl class="fields">${of.filter(([, value]) => value !== null && value !== undefined && value !== "").map(
    ([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Progress({ of }) {
  if (!of) return null;
  const { done, total, message } = of;
  return html`<div class="card progress"><label>${message ?? "Progress"}
    <progress value=${total ? done : undefined} max=${total || undefined}></progress></label>
    <span class="n">${done}${total ? ` of ${total}` : ""}</span></div>`;
}

function Why({ id }) {
  const { data } = usePoll(`tasks/${id}/why`);
  const reasons = data?.waiting_for ?? [];
  return reasons.length > 0 && html`<section><h2>Why it waits</h2>
    <ul>${reasons.map((one) => html`<li>${one.detail ?? one.reason ?? JSON.stringify(one)}</li>`)}</ul></section>`;
}

function Attempts({ of }) {
  return html`<section><h2>Attempts</h2><ol class="attempts">${of.map((one) => html`<li key=${one.attempt}>
    <p><b>Attempt ${one.attempt}</b> · ${one.error ? html`<span class="wrong">${one.error.type}</span>` : "went well"}
      ${" · "}<${Time} at=${one.ended_at} />${" · "}took ${took(one.started_at, one.ended_at)}</p>
    ${one.error && html`<p class="message">${one.error.message}</p>`}
    ${one.error?.traceback && html`<details><summary>Traceback</summary><pre tabindex="0">${one.error.traceback}</pre></details>`}
  </li>`)}</ol></section>`;
}

export function Task({ rest: [id] }) {
  const path = `tasks/${encodeURIComponent(id)}`;
  const { data: task, error, reload } = usePoll(path, 1000);
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
    <${Progress} of=${task.progress} />
    ${task.error && html`<div class="card failed" role="note"><h2>${task.error.type}</h2>
      <p class="message">${task.error.message}</p></div>`}
    <${Fields} of=${[
      ["Queue", html`<a href="#/tasks?queue=${encodeURIComponent(task.queue)}">${task.queue}</a>`],
      ["Created", html`<${Time} at=${task.created_at} />`],
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
    ${task.attempts?.length > 0 && html`<${Attempts} of=${task.attempts} />`}`;
}
