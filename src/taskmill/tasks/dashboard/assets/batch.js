// The batch that a task is a member of: how far it is, what of it failed, and the task that runs at its end.

import { html } from "./preact.js";
import { post } from "./api.js";
import { Do, number, Status, usePoll } from "./parts.js";

const SHOWN = 10; // failed members that are named

export function Batch({ id }) {
  const path = `batches/${encodeURIComponent(id)}`;
  const { data: batch, reload } = usePoll(path);
  if (batch === null) return null;
  const { done, total } = batch.progress;
  const counts = Object.entries(batch.counts).filter(([, count]) => count > 0);
  const title = (one) => html`<a class=${one.name ? "" : "id"} href="#/tasks/${one.id}">${one.name ?? one.id.slice(-12)}</a>`;
  return html`<section aria-labelledby="batch">
    <div class="title"><h2 id="batch">Batch ${batch.name ?? html`<span class="id">${id.slice(-12)}</span>`}</h2>
      <span class="hint">${batch.status}</span>
      ${batch.status !== "ended" && html`<${Do} label="Cancel the batch" kind="bad" run=${() => post(`${path}/cancel`)} done=${reload} />`}
    </div>
    <div class="card progress"><label>${number(done)} of ${number(total)} have ended
      <progress value=${done} max=${total || 1}></progress></label>
      <p class="counts">${counts.map(([status, count]) => html`<span key=${status}><${Status} of=${status} /> ${number(count)}</span>`)}</p>
      ${batch.failed.length > 0 && html`<p class="hint">Failed or cancelled: ${batch.failed.slice(0, SHOWN).map((one) => html` ${title(one)}`)}
        ${(batch.more || batch.failed.length > SHOWN) && " and more"}</p>`}
      ${batch.on_complete && html`<p class="hint">At its end runs
        ${" "}<a class="id" href="#/tasks/${batch.on_complete}">${batch.on_complete.slice(-12)}</a>.</p>`}
    </div>
  </section>`;
}
