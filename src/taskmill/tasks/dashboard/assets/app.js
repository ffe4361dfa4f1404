// The page: where one is, and what is shown there.

import { html, render, useEffect, useState } from "./preact.js";
import { get, key, keys } from "./api.js";
import { changes } from "./live.js";
import { Overview } from "./overview.js";
import { List } from "./list.js";
import { Task } from "./task.js";
import { Failures } from "./failures.js";
import { Actions } from "./actions.js";
import { Schedules } from "./schedules.js";
import { Nodes } from "./nodes.js";
import { Registry } from "./registry.js";

const PLACES = [
  ["", "Overview", Overview],
  ["tasks", "Tasks", List],
  ["failures", "Failures", Failures],
  ["actions", "Actions", Actions],
  ["schedules", "Schedules", Schedules],
  ["nodes", "Nodes", Nodes],
  ["registry", "Registry", Registry],
];

/** `#/tasks/ID?status=failed`: the place, what follows it, and the filters. */
function here() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  const [place, ...rest] = path.split("/");
  return { place, rest: rest.map(decodeURIComponent), filters: Object.fromEntries(new URLSearchParams(search)) };
}

function KeyForm({ refused }) {
  const [value, setValue] = useState("");
  const submit = (event) => {
    event.preventDefault();
    key.set(value.trim());
  };
  return html`<form class="card key" onSubmit=${submit}>
    <h1>A key is needed</h1>
    <label>API key
      <input type="password" autocomplete="off" value=${value} onInput=${(event) => setValue(event.target.value)} />
    </label>
    ${refused && html`<p class="wrong" role="alert">The server does not know the key that was given.</p>`}
    <button class="main">Go on</button>
    <p class="hint">It is kept in this tab, until that is closed. <code>taskmill keys create</code> makes one.</p>
  </form>`;
}

/** Whether the server tells of changes as they happen. */
function Live() {
  const [live, setLive] = useState(changes.connected);
  useEffect(() => changes.listen({ connected: setLive }), []);
  return html`<span class="live ${live ? "on" : ""}" title=${live ? "Changes are told as they happen" : "Looking every two seconds"}>
    ${live ? "live" : "polling"}</span>`;
}

function App() {
  const [at, setAt] = useState(here());
  const [lock, setLock] = useState(null); // null until it is known
  useEffect(() => {
    const refuse = () => setLock({ locked: true, refused: key.get() !== null });
    const open = () => setLock({ locked: false });
    const look = () => get("queues").then(open, (error) => (error.status === 401 ? refuse() : open()));
    addEventListener("hashchange", () => setAt(here()));
    keys.addEventListener("refused", refuse);
    keys.addEventListener("changed", look);
    look();
  }, []);
  const [place, title, View] = PLACES.find(([name]) => name === at.place) ?? PLACES[0];
  useEffect(() => {
    document.title = `${title} · Taskmill`;
  }, [title]);
  const Shown = at.place === "tasks" && at.rest.length ? Task : View;
  return html`
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), document.getElementById("main").focus())}>
      To the content
    </a>
    <header>
      <a class="brand" href="#/">Taskmill</a>
      <nav aria-label="Places">
        ${PLACES.map(([name, words]) => html`
          <a href="#/${name}" aria-current=${name === place ? "page" : undefined}>${words}</a>`)}
      </nav>
      ${lock?.locked === false && html`<${Live} />`}
      ${key.get() && html`<button type="button" onClick=${() => key.set(null)}>Forget the key</button>`}
      <a class="api" href="docs">API</a>
    </header>
    <main id="main" tabindex="-1">
      ${lock === null ? null : lock.locked ? html`<${KeyForm} refused=${lock.refused} />` : html`<${Shown} ...${at} />`}
    </main>`;
}

render(html`<${App} />`, document.body);
