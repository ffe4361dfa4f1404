// What the views share: looking again and again, and small pieces of what is shown.

import { html, useCallback, useEffect, useRef, useState } from "./preact.js";
import { get } from "./api.js";
import { changes } from "./live.js";

export const EVERY = 2000; // milliseconds between looks where the server does not tell of changes
const SELDOM = 15_000; // where it does

/** Call something in a while, for as long as the page is seen, and soon after each change that the server tells of. */
export function useLook(look, every = EVERY, live = true) {
  const [told, setTold] = useState(changes.connected);
  useEffect(() => {
    look();
    const again = () => document.hidden || look();
    const timer = setInterval(again, live && told ? Math.max(every, SELDOM) : every);
    addEventListener("focus", again);
    const forget = live ? changes.listen({ changed: again, connected: setTold }) : () => {};
    return () => {
      clearInterval(timer);
      removeEventListener("focus", again);
      forget();
    };
  }, [look, every, live, told]);
}

/** What a path answers, looked at again and again. `reload` looks at once. */
export function usePoll(path, every = EVERY, live = true) {
  const [state, setState] = useState({ path, data: null, error: null });
  const newest = useRef(0);
  const reload = useCallback(async () => {
    const turn = ++newest.current;
    try {
      const data = path === null ? null : await get(path);
      if (turn === newest.current) setState({ path, data, error: null });
    } catch (error) {
      if (turn === newest.current) setState((old) => ({ path, data: old.path === path ? old.data : null, error }));
    }
  }, [path]);
  useLook(reload, every, live);
  useEffect(() => () => void newest.current++, [path]);
  return { data: state.path === path ? state.data : null, error: state.error, reload };
}

/** A button that does something on the server, and says where that went wrong. */
export function Do({ label, run, done, kind = "", disabled = false }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const click = async () => {
    setBusy(true);
    setError(null);
    try {
      const value = await run();
      done?.(value);
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  };
  return html`<span class="do">
    <button type="button" class=${kind} disabled=${busy || disabled} onClick=${click}>${label}</button>
    ${error && html`<span role="alert" class="wrong">${error.message}</span>`}
  </span>`;
}

export function Wrong({ error }) {
  return error && html`<p role="alert" class="wrong banner">${error.message}</p>`;
}

export function Status({ of }) {
  return html`<span class="status ${of}">${of}</span>`;
}

export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

/** A table that is moved sideways where it is too wide, by the keyboard too. */
export function Table({ label, children }) {
  return html`<div class="wide" tabindex="0" role="group" aria-label=${label}><table>${children}</table></div>`;
}

export function Json({ value, label }) {
  const text = JSON.stringify(value, null, 2) ?? "null";
  return html`<pre tabindex="0" aria-label=${label}>${text}</pre>`;
}

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** Seconds in words: `3 min`. */
export function span(seconds) {
  if (seconds < 0.001) return "< 1 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const [unit, size] = UNITS.find(([, size]) => seconds >= size);
  const count = seconds / size;
  return `${count < 10 && unit !== "s" ? Math.round(count * 10) / 10 : Math.round(count)} ${unit}`;
}

/** A time as its distance from now; the whole time is shown on hovering. */
export function Time({ at }) {
  if (!at) return html`<span class="none">–</span>`;
  const seconds = (Date.now() - Date.parse(at)) / 1000;
  const words = Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
  return html`<time datetime=${at} title=${at}>${words}</time>`;
}

/** How long something took, or has been taking. */
export function took(from, to) {
  return from ? span(((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000) : "–";
}

export const number = (value) => value.toLocaleString("en");

/** One line of a value, as it may stand in a table. */
export function brief(value, length = 120) {
  const text = value === null || value === undefined ? "" : JSON.stringify(value);
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
