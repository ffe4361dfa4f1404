// All tasks, newest first. Only the rows that are seen are in the document, however many have been read.

import { html, useEffect, useRef, useState } from "./preact.js";
import { get, query } from "./api.js";
import { brief, Empty, EVERY, Status, Time, took, Wrong } from "./parts.js";

const HEIGHT = 37; // pixels of a row, as the style sheet has it
const BEYOND = 10; // rows above and below the seen ones
const PAGE = 200;
const STATUSES = ["queued", "scheduled", "running", "completed", "failed", "cancelled"];

/** Rows by id, newest first: what was read before, with what has been read now in its place. */
function merged(old, read) {
  const fresh = new Map(read.map((task) => [task.id, task]));
  const kept = old.filter((task) => !fresh.has(task.id));
  return [...read, ...kept].sort((one, other) => (one.id < other.id ? 1 : -1));
}

function useTasks(filters) {
  const filter = query(filters);
  const [state, setState] = useState({ filter, rows: [], next: undefined, error: null });
  const reading = useRef(false);
  const joined = filter === "" ? "?" : `${filter}&`;
  const read = async (cursor) => {
    if (reading.current === filter) return;
    reading.current = filter;
    try {
      const page = await get(`tasks${joined}limit=${PAGE}${cursor ? `&cursor=${cursor}` : ""}`);
      setState((old) => {
        if (old.filter !== filter || !cursor && old.rows.length === 0) {
          return { filter, rows: page.tasks, next: page.next, error: null };
        }
        // A look at the newest alone may leave a gap behind it: then the list begins anew.
        const gap = !cursor && page.next && !page.tasks.some((task) => task.id === old.rows[0].id);
        // What a filter no longer matches goes.
        const known = new Set(page.tasks.map((task) => task.id));
        const last = page.tasks.at(-1)?.id ?? "";
        const rest = gap ? [] : cursor ? old.rows : old.rows.filter((task) => known.has(task.id) || (page.next && task.id < last));
        return { filter, rows: merged(rest, page.tasks), next: cursor || gap || !page.next ? page.next : old.next, error: null };
      });
    } catch (error) {
      setState((old) => ({ ...old, error }));
    }
    if (reading.current === filter) reading.current = false;
  };
  useEffect(() => {
    read();
    const timer = setInterval(() => document.hidden || read(), EVERY);
    return () => clearInterval(timer);
  }, [filter]);
  const current = state.filter === filter ? state : { rows: [], next: undefined, error: state.error };
  return { ...current, more: () => current.next && read(current.next) };
}

/** What is typed stays, whatever is drawn anew meanwhile; it counts once the field is left, or by Enter. */
function Filter({ name, value, change }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return html`<label>${name[0].toUpperCase() + name.slice(1)}
    <input value=${text} placeholder="any" onInput=${(event) => setText(event.target.value)} onChange=${change} /></label>`;
}

function Filters({ filters }) {
  const set = (name) => (event) => {
    location.hash = `#/tasks${query({ ...filters, [name]: event.target.value.trim() })}`;
  };
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <label>Status <select value=${filters.status ?? ""} onChange=${set("status")}>
      <option value="">any</option>
      ${STATUSES.map((status) => html`<option value=${status}>${status}</option>`)}
    </select></label>
    ${["action", "queue", "tag", "key"].map((name) => html`
      <${Filter} key=${name} name=${name} value=${filters[name] ?? ""} change=${set(name)} />`)}
    ${Object.keys(filters).length > 0 && html`<a href="#/tasks">Clear</a>`}
  </form>`;
}

export function List({ filters }) {
  const { rows, next, error, more } = useTasks(filters);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const box = useRef(null);
  const measure = () => box.current && setHeight(box.current.clientHeight);
  useEffect(() => {
    measure();
    addEventListener("resize", measure);
    return () => removeEventListener("resize", measure);
  }, [rows.length > 0]);
  const first = Math.max(0, Math.floor(top / HEIGHT) - BEYOND);
  const last = Math.min(rows.length, Math.ceil((top + height) / HEIGHT) + BEYOND);
  useEffect(() => {
    if (last >= rows.length - 2 * BEYOND) more();
  }, [last, rows.length, next]);
  return html`
    <h1>Tasks</h1>
    <${Filters} filters=${filters} />
    <${Wrong} error=${error} />
    ${next !== undefined && rows.length === 0 && html`<${Empty}>No task is like that.<//>`}
    ${rows.length > 0 && html`<div class="wide scroll" ref=${box} tabindex="0" role="region" aria-label="Tasks, newest first"
        onScroll=${(event) => setTop(event.target.scrollTop)}>
      <table class="rows" aria-rowcount=${next ? -1 : rows.length + 1}>
        <thead><tr><th scope="col">Task</th><th scope="col">Action</th><th scope="col">Status</th>
          <th scope="col">Data</th><th scope="col">Created</th><th scope="col" class="n">Took</th></tr></thead>
        <tbody>
          <tr class="space" aria-hidden="true"><td style=${{ height: `${first * HEIGHT}px` }} colspan="6"></td></tr>
          ${rows.slice(first, last).map((task, place) => html`<tr key=${task.id} aria-rowindex=${first + place + 2}>
            <th scope="row"><a class="id" href="#/tasks/${task.id}">${task.id.slice(-12)}</a></th>
            <td class="cut">${task.action}</td>
            <td><${Status} of=${task.status} /></td>
            <td class="cut data">${brief(task.data)}</td>
            <td><${Time} at=${task.created_at} /></td>
            <td class="n">${took(task.started_at, task.finished_at)}</td>
          </tr>`)}
          <tr class="space" aria-hidden="true">
            <td style=${{ height: `${(rows.length - last) * HEIGHT}px` }} colspan="6"></td></tr>
        </tbody>
      </table>
    </div>
    <p class="hint" aria-live="polite">${rows.length.toLocaleString("en")} shown${next ? ", more below" : ""}</p>`}`;
}
