// What runs again and again.

import { html } from "./preact.js";
import { post } from "./api.js";
import { brief, Do, Empty, span, Table, Time, usePoll, Wrong } from "./parts.js";

export function Schedules() {
  const { data, error, reload } = usePoll("schedules", 2000, false);
  const schedules = data?.schedules ?? [];
  const path = (one) => `schedules/${encodeURIComponent(one.name)}`;
  return html`
    <h1>Schedules</h1>
    <${Wrong} error=${error} />
    ${data && schedules.length === 0 && html`<${Empty}>Nothing is scheduled. PUT /schedules/NAME makes one.<//>`}
    ${schedules.length > 0 && html`<${Table} label="Schedules">
      <thead><tr><th scope="col">Schedule</th><th scope="col">When</th><th scope="col">Action</th><th scope="col">Data</th>
        <th scope="col">Next</th><th scope="col">Last</th><th scope="col"><span class="unseen">What to do</span></th></tr></thead>
      <tbody>${schedules.map((one) => html`<tr key=${one.name}>
        <th scope="row">${one.name} ${one.paused && html`<span class="status paused">paused</span>`}</th>
        <td>${one.cron ? html`<code>${one.cron}</code> ${one.timezone}` : `every ${span(one.every)}`}</td>
        <td>${one.action}</td><td class="cut data">${brief(one.data, 26)}</td>
        <td><${Time} at=${one.next_run_at} /></td>
        <td>${one.last_task_id ? html`<a href="#/tasks/${one.last_task_id}"><${Time} at=${one.last_run_at} /></a>` : "–"}</td>
        <td><div class="buttons"><${Do} label="Run now" run=${() => post(`${path(one)}/run`)} done=${reload} />
          <${Do} label=${one.paused ? "Resume" : "Pause"} done=${reload}
            run=${() => post(`${path(one)}/${one.paused ? "resume" : "pause"}`)} /></div></td>
      </tr>`)}</tbody><//>`}`;
}
