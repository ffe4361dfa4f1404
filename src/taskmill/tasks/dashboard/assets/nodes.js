// The processes that share the database.

import { html } from "./preact.js";
import { Table, Time, usePoll, Wrong } from "./parts.js";

export function Nodes() {
  const { data, error } = usePoll("nodes", 2000, false);
  return html`
    <h1>Nodes</h1>
    <${Wrong} error=${error} />
    <${Table} label="Nodes">
      <thead><tr><th scope="col">Node</th><th scope="col">Version</th><th scope="col">Roles</th>
        <th scope="col" class="n">Running</th><th scope="col" class="n">Consumers</th>
        <th scope="col">Started</th><th scope="col">Heard of</th></tr></thead>
      <tbody>${(data?.nodes ?? []).map((node) => html`<tr key=${node.id}>
        <th scope="row">${node.name} ${node.leader && html`<span class="status leader">leads</span>`}</th>
        <td>${node.version}</td><td>${node.roles.join(", ")}</td>
        <td class="n">${node.running}</td><td class="n">${node.consumers}</td>
        <td><${Time} at=${node.started_at} /></td><td><${Time} at=${node.heartbeat_at} /></td>
      </tr>`)}</tbody><//>`;
}
