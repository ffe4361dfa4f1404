// The registry: entries, which need which, and what each is doing.

import { html, useState } from "./preact.js";
import { Graph } from "./graph.js";
import { number, Status, Table, usePoll, Wrong } from "./parts.js";

const ROUTES = ["http.endpoint", "function.python"];
const short = (id) => id.replace(/^app:/, "");

export function Registry({ rest: [asked] }) {
  const { data, error } = usePoll("registry", 5000, false);
  const [all, setAll] = useState(false);
  const [chosen, setChosen] = useState(null);
  const entries = data?.entries ?? [];
  const routes = entries.filter((entry) => ROUTES.includes(entry.kind));
  const shown = all ? entries : entries.filter((entry) => !ROUTES.includes(entry.kind) || entry.state === "failed");
  const known = new Set(shown.map((entry) => entry.id));
  const arrows = (data?.arrows ?? []).filter((arrow) => known.has(arrow.source) && known.has(arrow.target));
  const seen = [chosen, asked].find((id) => known.has(id)) ?? null;
  const names = (id) => (data?.arrows ?? []).filter((arrow) => arrow.source === id);
  return html`
    <h1>Registry</h1>
    <${Wrong} error=${error} />
    ${data && html`
      <div class="title tools"><span class="hint">${number(entries.length)} entries. An arrow goes to what an entry names;
          a dashed one to what it plugs itself into.</span>
        <label class="inline"><input type="checkbox" checked=${all} onChange=${(event) => setAll(event.target.checked)} />
          with ${number(routes.length)} routes and functions</label></div>
      <${Graph} label="Entries and arrows" arrows=${arrows} chosen=${seen} choose=${setChosen}
        nodes=${shown.map(({ id, kind, state }) => ({ id, title: short(id), note: kind, state, href: `#/registry/${encodeURIComponent(id)}` }))} />
      <section aria-labelledby="entries"><h2 id="entries">As a list</h2>
        <${Table} label="Entries">
          <thead><tr><th scope="col">Entry</th><th scope="col">Kind</th><th scope="col">State</th><th scope="col">What it names, by which field</th></tr></thead>
          <tbody>${shown.map((entry) => html`<tr key=${entry.id}>
            <th scope="row">${short(entry.id)}</th><td><code>${entry.kind}</code></td><td><${Status} of=${entry.state} /></td>
            <td class="names">${names(entry.id).map((arrow) => html`<span key=${arrow.field}>${short(arrow.target)}
              <span class="hint">${arrow.field}</span></span> `)}</td>
          </tr>`)}</tbody><//></section>`}`;
}
