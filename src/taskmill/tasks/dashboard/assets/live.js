// What the server tells by itself: server-sent events, read by `fetch` so that a key can go along.

import { ask, keys } from "./api.js";

const PAUSE = 2000; // milliseconds before a broken stream is opened again,
const LONG = 30_000; // and before one that there is not, or that told too much
const TOO_MANY = 300; // events in a second: then looking again and again costs both sides less
const SOON = 400; // milliseconds for which changes are collected

function parsed(block) {
  const event = { event: "message", data: "" };
  for (const line of block.split("\n")) {
    const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name === "data") event.data += value;
    else if (name) event[name] = value;
  }
  return event.data === "" ? null : event;
}

async function read(answer, tell) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parsed(block);
      if (event) tell(event);
    }
  }
}

/** Follow a path's events until the returned function is called. `connected` hears whether it is being told. */
export function follow(path, tell, connected = () => {}) {
  const stop = new AbortController();
  let last = null;
  let timer = null;
  const open = async () => {
    let pause = PAUSE;
    try {
      const headers = last ? { "Last-Event-ID": last } : {};
      const answer = await ask(path, { accept: "text/event-stream", headers, signal: stop.signal });
      if (answer.status === 204) return connected(false);
      if (answer.ok) {
        connected(true);
        await read(answer, (event) => {
          last = event.id ?? last;
          tell(event.event, JSON.parse(event.data));
        });
      } else {
        pause = LONG;
      }
    } catch {
      // It is opened again, unless it was closed here.
    }
    if (stop.signal.aborted) return;
    connected(false);
    timer = setTimeout(open, pause);
  };
  open();
  return () => {
    clearTimeout(timer);
    stop.abort();
  };
}

/** Changes of any task, for all that is shown: one stream for the page, and none while nobody sees it. */
class Changes {
  connected = false;
  #listeners = new Set();
  #stop = null;
  #rest = null; // a timer, while it is better to look again and again
  #soon = null;
  #count = 0;
  #since = 0;

  constructor() {
    addEventListener("visibilitychange", () => this.#turn());
    keys.addEventListener("changed", () => {
      this.#close(); // it was opened with another key, or is paused for the want of one
      this.#turn();
    });
  }

  /** Have `changed()` called soon after changes, `row(task)` at each, and `connected(yes)` when that begins or ends. */
  listen(listener) {
    this.#listeners.add(listener);
    this.#turn();
    return () => {
      this.#listeners.delete(listener);
      setTimeout(() => this.#turn(), PAUSE); // the next view has begun to listen by then
    };
  }

  #turn() {
    const wanted = this.#listeners.size > 0 && !document.hidden && this.#rest === null;
    if (wanted && this.#stop === null) {
      this.#stop = follow("events", (kind, data) => this.#heard(kind, data), (yes) => this.#say(yes));
    } else if (!wanted) {
      this.#close();
    }
  }

  #close() {
    this.#stop?.();
    this.#stop = null;
    this.#say(false);
  }

  #heard(kind, data) {
    const now = Date.now();
    if (now - this.#since > 1000) [this.#since, this.#count] = [now, 0];
    if (++this.#count > TOO_MANY) {
      this.#rest = setTimeout(() => {
        this.#rest = null;
        this.#turn();
      }, LONG);
      this.#turn();
      return;
    }
    if (kind === "status") for (const { row } of this.#listeners) row?.(data);
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      for (const { changed } of [...this.#listeners]) changed?.();
    }, SOON);
  }

  #say(yes) {
    if (yes === this.connected) return;
    this.connected = yes;
    for (const { connected } of [...this.#listeners]) connected?.(yes);
  }
}

export const changes = new Changes();
