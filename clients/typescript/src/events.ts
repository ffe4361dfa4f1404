/** What happens to tasks, as the server streams it: typed events, in a stream that goes on by itself where it breaks. */

import { createParser, type EventSourceMessage } from "eventsource-parser";

import { Refused } from "./errors.js";
import type { paths } from "./schema.js";
import { rest } from "./trying.js";

type ListedTask = paths["/tasks"]["get"]["responses"][200]["content"]["application/json"]["tasks"][number];

/** A task is new, or its status or attempt has changed. */
export type StatusEvent = { event: "status"; eventId: string } & Omit<ListedTask, "data" | "result">;

/** How far a task has come. */
export interface ProgressEvent {
  event: "progress";
  eventId: string;
  id: string;
  done: number;
  total: number | null;
  message: string;
}

/** A line of a task's log; so many before it were dropped. */
export interface LogEvent {
  event: "log";
  eventId: string;
  id: string;
  at: string;
  attempt: number;
  message: string;
  dropped?: number;
}

/** Some events of all tasks are missing here: load anew what you show of them. */
export interface ResetEvent {
  event: "reset";
  eventId: string;
  reason: string;
}

export type TaskEvent = StatusEvent | ProgressEvent | LogEvent | ResetEvent;
export type EventFilters = NonNullable<paths["/events"]["get"]["parameters"]["query"]>;

export interface EventOptions {
  /** The `eventId` to go on after. */
  last?: string;
  /** Ends the stream; what waits for an event then throws its reason. */
  signal?: AbortSignal;
}

/** Asks for a stream that goes on after an event; null where there is nothing more. Throws what the server refuses. */
export type Ask = (last: string | undefined, signal: AbortSignal) => Promise<ReadableStream<Uint8Array> | null>;

const KINDS = new Set(["status", "progress", "log", "reset"]);
const SILENCE = 45_000; // milliseconds without a byte after which a stream is taken for dead: three heartbeats
const REST = 1_000; // milliseconds between two connections
const PATIENCE = 30_000; // milliseconds for which a server may be away

/** Give events as they come, over as many connections as it takes. `ends` says whether the server ends it some time. */
export async function* events(
  ask: Ask,
  ends: boolean,
  { last, signal }: EventOptions,
): AsyncGenerator<TaskEvent, void, undefined> {
  let away = 0; // since when the server is
  for (let first = true; ; first = false) {
    if (!first) await rest(REST, signal);
    const ended = new AbortController();
    try {
      const body = await ask(last, AbortSignal.any(signal ? [ended.signal, signal] : [ended.signal]));
      if (body === null) return;
      away = 0;
      if (!first && last === undefined && !ends) {
        yield { event: "reset", eventId: "", reason: "the connection broke before its first event" };
      }
      for await (const { id, event, data } of messages(body)) {
        last = id ?? last;
        if (event === undefined || !KINDS.has(event)) continue;
        const told = { event, eventId: last ?? "", ...JSON.parse(data) } as TaskEvent;
        yield told;
        if (ends && told.event === "status" && told.finished_at !== null) return;
      }
    } catch (error) {
      const passes = error instanceof Refused ? [429, 502, 503, 504].includes(error.status) : !signal?.aborted;
      away ||= Date.now();
      if (!passes || error instanceof SyntaxError || Date.now() - away > PATIENCE) throw error;
    } finally {
      ended.abort();
    }
  }
}

/** Read a body's messages until it ends; throws where it breaks, or is silent for too long. */
async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<EventSourceMessage, void, undefined> {
  const found: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (message) => found.push(message) });
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const silence = setTimeout(() => void reader.cancel(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    parser.feed(decoder.decode(value, { stream: true }));
    yield* found.splice(0);
  }
}
