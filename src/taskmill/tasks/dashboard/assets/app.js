// The page: where one is, and what is shown there.

import { html, render, useEffect, useState } from "./preact.js";
import { get, key } from "./api.js";
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

function KeyForm({ done }) {
  const [value, setValue] = useState("");
  const submit = (event) => {
    event.preventDefault();
    key.set(value);
    done();
  };
  return html`<form class="card key" onSubmit=${submit}>
    <h1>A key is needed</h1>
    <label>API key
      <input type="password" autocomplete="off" value=${value} onInput=${(event) => setValue(event.target.value)} />
    </label>
    <button class="main">Go on</button>
    <p class="hint">It is kept in this tab, until that is closed. <code>taskmill keys create</code> makes one.</p>
  </form>`;
}

function App() {
  const [at, setAt] = useState(here());
  const [locked, setLocked] = useState(null);
  const look = () => get("queues").then(() => setLocked(false), (error) => setLocked(error.status === 401));
  useEffect(() => {
    const move = () => setAt(here());
    addEventListener("hashchange", move);
    look();
    return () => removeEventListener("hashchange", move);
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
      <a class="api" href="docs">API</a>
    </header>
    <main id="main" tabindex="-1">
      ${locked === null ? null : locked ? html`<${KeyForm} done=${look} />` : html`<${Shown} ...${at} />`}
    </main>`;
}

render(html`<${App} />`, document.body);
