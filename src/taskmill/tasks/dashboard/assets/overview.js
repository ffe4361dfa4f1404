// Queues, and what happened last.

import { html } from "./preact.js";
import { post } from "./api.js";
import { Charts } from "./charts.js";
import { Do, Empty, EVERY, number, span, Status, Table, Time, took, usePoll, Wrong } from "./parts.js";

const WAITING = ["queued", "scheduled", "running"];

export function Overview() {
  const { data, error, reload } = usePoll("queues", EVERY, false); // their depth is counted by the clock, and not at each change
  const last = usePoll("tasks?limit=12");
  const failed = usePoll("tasks?status=failed&limit=100");
  const queues = data?.queues ?? [];
  const total = (status) => queues.reduce((sum, queue) => sum + queue.depth[status], 0);
  const failures = failed.data?.count ?? 0;
  return html`
    <h1>Overview</h1>
    <${Wrong} error=${error ?? last.error} />
    <ul class="figures">
      ${WAITING.map((status) => html`<li><a href="#/tasks?status=${status}">
        <b>${data ? number(total(status)) : "…"}</b> ${status}</a></li>`)}
      <li class=${failures ? "bad" : ""}><a href="#/failures">
        <b>${failed.data ? `${failures}${failed.data.next ? "+" : ""}` : "…"}</b> failed</a></li>
    </ul>
    <section aria-labelledby="queues">
      <h2 id="queues">Queues</h2>
      <${Table} label="Queues">
        <thead><tr>
          <th scope="col">Queue</th><th scope="col" class="n">Queued</th><th scope="col" class="n">Scheduled</th>
          <th scope="col" class="n">Running</th><th scope="col" class="n">Consumers</th>
          <th scope="col">Oldest waiting</th><th scope="col"><span class="unseen">Pause or resume</span></th>
        </tr></thead>
        <tbody>${queues.map((queue) => html`<tr key=${queue.name}>
          <th scope="row"><a href="#/tasks?queue=${encodeURIComponent(queue.name)}">${queue.name}</a>
            ${queue.paused && html`<span class="status paused">paused</span>`}</th>
          ${WAITING.map((status) => html`<td class="n">${number(queue.depth[status])}</td>`)}
          <td class="n">${queue.consumers}</td>
          <td>${queue.oldest === null ? "–" : span(queue.oldest)}</td>
          <td class="n"><${Do} label=${queue.paused ? "Resume" : "Pause"} done=${reload}
            run=${() => post(`queues/${encodeURIComponent(queue.name)}/${queue.paused ? "resume" : "pause"}`)} /></td>
        </tr>`)}</tbody>
      <//>
    </section>
    <${Charts} />
    <section aria-labelledby="last">
      <h2 id="last">Newest tasks</h2>
      ${last.data && last.data.count === 0 && html`<${Empty}>
        Nothing was submitted yet. <a href="#/actions">Submit a task</a>, or POST one to /tasks.<//>`}
      ${last.data && last.data.count > 0 && html`<${Table} label="Newest tasks">
        <thead><tr><th scope="col">Task</th><th scope="col">Action</th><th scope="col">Status</th>
          <th scope="col">Created</th><th scope="col" class="n">Took</th></tr></thead>
        <tbody>${last.data.tasks.map((task) => html`<tr key=${task.id}>
          <th scope="row"><a class="id" href="#/tasks/${task.id}">${task.id.slice(-12)}</a></th>
          <td>${task.action}</td><td><${Status} of=${task.status} /></td>
          <td><${Time} at=${task.created_at} /></td>
          <td class="n">${took(task.started_at, task.finished_at)}</td></tr>`)}</tbody>
      <//>`}
    </section>`;
}
