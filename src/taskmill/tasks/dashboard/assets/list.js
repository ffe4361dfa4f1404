// All tasks, newest first. Only the rows that are seen are in the document, however many have been read.

import { html, useCallback, useEffect, useRef, useState } from "./preact.js";
import { get, query } from "./api.js";
import { changes } from "./live.js";
import { brief, Empty, Status, Time, took, useLook, Wrong } from "./parts.js";
import { Selection } from "./selection.js";

const HEIGHT = 37; // pixels of a row, as the style sheet has it
const BEYOND = 10; // rows above and below the seen ones
const PAGE = 200; // tasks of the first request,
const MORE = 1000; // and of those that follow
const STATUSES = ["queued", "scheduled", "running", "completed", "failed", "cancelled"];

/** A part of the list with what is shown of it: a hundred thousand tasks with all their data would be too much. */
function shortened({ tasks, next }) {
  const kept = ({ id, action, status, data, created_at, started_at, finished_at }) => (
    { id, action, status, data: brief(data), created_at, started_at, finished_at });
  return { tasks: tasks.map(kept), next };
}

/** How many rows, newest first, are newer than an id: where that is, or would be. */
function placeOf(rows, id) {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].id > id) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The rows once the newest page was read: it takes the place of what was known down to its last one. */
function headed(old, page) {
  const last = page.tasks.at(-1)?.id;
  if (!page.next) return { rows: page.tasks, next: null };
  const below = placeOf(old.rows, last);
  // A page that does not reach what was known leaves a gap: then the list begins anew.
  if (old.rows.length === 0 || last > old.rows[0].id) return { rows: page.tasks, next: page.next };
  const rest = old.rows.slice(old.rows[below]?.id === last ? below + 1 : below);
  return rest.length ? { rows: [...page.tasks, ...rest], next: old.next } : { rows: page.tasks, next: page.next };
}

/** The rows with one as it is now: an event has all of it but data and result. Null where it is not among them. */
function changed(old, row, status) {
  const place = placeOf(old.rows, row.id);
  if (old.rows[place]?.id !== row.id) return null;
  const kept = !status || row.status === status ? [{ ...old.rows[place], ...row }] : [];
  return { ...old, rows: old.rows.toSpliced(place, 1, ...kept) };
}

function useTasks(filters) {
  const filter = query(filters);
  const [state, setState] = useState({ filter, rows: [], next: undefined, error: null });
  const reading = useRef(new Set()); // what is being asked for: the newest, and what lies below, go beside each other
  const joined = filter === "" ? "?" : `${filter}&`;
  const read = useCallback(async (cursor) => {
    const asked = `${filter} ${cursor ? "below" : "newest"}`;
    if (reading.current.has(asked)) return;
    reading.current.add(asked);
    try {
      const part = cursor ? `limit=${MORE}&cursor=${cursor}` : `limit=${PAGE}`;
      const page = shortened(await get(`tasks${joined}${part}`));
      setState((before) => {
        const old = before.filter === filter ? before : { rows: [], next: undefined };
        if (cursor && old.next !== cursor) return before; // the list has begun anew meanwhile
        const found = cursor ? { rows: [...old.rows, ...page.tasks], next: page.next } : headed(old, page);
        return { filter, ...found, error: null };
      });
    } catch (error) {
      setState((old) => ({ ...old, error }));
    }
    reading.current.delete(asked);
  }, [filter]);
  useLook(read);
  useEffect(() => changes.listen({
    row: (row) => setState((old) => (old.filter === filter && changed(old, row, filters.status)) || old),
  }), [filter]);
  const current = state.filter === filter ? state : { rows: [], next: undefined, error: state.error };
  return { ...current, read, more: () => current.next && read(current.next) };
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
  const { rows, next, error, read, more } = useTasks(filters);
  const [selected, setSelected] = useState(new Map());
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
  const select = (task) => {
    const now = new Map(selected);
    if (!now.delete(task.id)) now.set(task.id, task);
    setSelected(now);
  };
  useEffect(() => setSelected(new Map()), [query(filters)]);
  useEffect(() => {
    if (last >= rows.length - 2 * BEYOND) more();
  }, [last, rows.length, next]);
  return html`
    <h1>Tasks</h1>
    <${Filters} filters=${filters} />
    <${Wrong} error=${error} />
    ${next !== undefined && rows.length === 0 && html`<${Empty}>No task is like that.<//>`}
    ${rows.length > 0 && html`<${Selection} filters=${filters} selected=${[...selected.values()]}
        clear=${() => setSelected(new Map())} done=${() => read()} />
      <div class="wide scroll" ref=${box} tabindex="0" role="region" aria-label="Tasks, newest first"
        onScroll=${(event) => setTop(event.target.scrollTop)}>
      <table class="rows" aria-rowcount=${next ? -1 : rows.length + 1}>
        <thead><tr><th scope="col"><span class="unseen">Select</span></th><th scope="col">Task</th><th scope="col">Action</th><th scope="col">Status</th>
          <th scope="col">Data</th><th scope="col">Created</th><th scope="col" class="n">Took</th></tr></thead>
        <tbody>
          <tr class="space" aria-hidden="true"><td style=${{ height: `${first * HEIGHT}px` }}></td></tr>
          ${rows.slice(first, last).map((task, place) => html`<tr key=${task.id} aria-rowindex=${first + place + 2}>
            <td><input type="checkbox" aria-label="Select ${task.action} ${task.id.slice(-12)}" checked=${selected.has(task.id)}
              onChange=${() => select(task)} /></td>
            <th scope="row"><a class="id" href="#/tasks/${task.id}">${task.id.slice(-12)}</a></th>
            <td class="cut">${task.action}</td>
            <td><${Status} of=${task.status} /></td>
            <td class="cut data">${task.data}</td>
            <td><${Time} at=${task.created_at} /></td>
            <td class="n">${took(task.started_at, task.finished_at)}</td>
          </tr>`)}
          <tr class="space" aria-hidden="true">
            <td style=${{ height: `${(rows.length - last) * HEIGHT}px` }}></td></tr>
        </tbody>
      </table>
    </div>
    <p class="hint" aria-live="polite">${rows.length.toLocaleString("en")} shown${next ? ", more below" : ""}</p>`}`;
}
