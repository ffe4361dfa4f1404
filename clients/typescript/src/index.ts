/** A client for Taskmill. Its types are made from the OpenAPI document of the server, so they know its actions. */

import createFetchClient, { type Client } from "openapi-fetch";

import { NoResult, Refused } from "./errors.js";
import { events, type EventFilters, type EventOptions, type TaskEvent } from "./events.js";
import type { components, paths } from "./schema.js";
import { patient } from "./trying.js";

export { NoResult, Refused } from "./errors.js";
export type * from "./events.js";
export type { components, paths } from "./schema.js";

export type Task = components["schemas"]["TaskDetails"];
export type TaskPage = paths["/tasks"]["get"]["responses"][200]["content"]["application/json"];
export type ListedTask = TaskPage["tasks"][number];
export type Submission = components["schemas"]["Submission"];
export type Submitted = components["schemas"]["Submitted"];
export type Filters = NonNullable<paths["/tasks"]["get"]["parameters"]["query"]>;

export interface Options {
  /** Where the server is, such as `http://127.0.0.1:8080`. */
  url: string;
  /** An API key, where the server wants one. */
  token?: string;
  /** The `fetch` to use; that of the platform by default. */
  fetch?: typeof fetch;
}

const HELD = 30; // seconds for which the server is asked to hold an answer; it is asked again after that

export class Taskmill {
  /** Every request of the API, typed: `client.api.GET("/queues")`. */
  readonly api: Client<paths>;

  constructor({ url, token, fetch: send = fetch }: Options) {
    const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    this.api = createFetchClient<paths>({ baseUrl: url, headers, fetch: patient(send) });
  }

  /** Submit a task. A submission that has to be sent again is the same task; throws {@link Refused}. */
  async submit(submission: Submission, idempotencyKey: string = crypto.randomUUID()): Promise<Submitted> {
    const header = { "Idempotency-Key": idempotencyKey };
    return answered(await this.api.POST("/tasks", { params: { header }, body: submission })) as Submitted;
  }

  /** Return the task as it is now. */
  async get(id: string): Promise<Task> {
    return answered(await this.api.GET("/tasks/{id}", { params: { path: { id } } }));
  }

  /** Return the task once it has ended, however that may be. */
  async wait(id: string, signal?: AbortSignal): Promise<Task> {
    for (;;) {
      const params = { path: { id }, query: { wait: HELD } };
      const task = answered(await this.api.GET("/tasks/{id}", { params, ...(signal && { signal }) }));
      if (task.finished_at !== null) return task;
    }
  }

  /** Return what the action returned, once it has; throws {@link NoResult} where the task fails or is cancelled. */
  async result(id: string, signal?: AbortSignal): Promise<unknown> {
    const task = await this.wait(id, signal);
    if (task.status !== "completed") throw new NoResult(task);
    const result = task.result as Record<string, unknown>;
    const keys = Object.keys(result);
    return keys.length === 1 && keys[0] === "output" ? result["output"] : result;
  }

  /**
   * Give what happens to a task, from how it is now to its end, or to all tasks that pass filters, from now on.
   *
   * It goes on by itself where the connection breaks. Throws {@link Refused}, such as 404.
   */
  events(of: string | EventFilters = {}, options: EventOptions = {}): AsyncGenerator<TaskEvent, void, undefined> {
    const ends = typeof of === "string";
    return events(
      async (last, signal) => {
        const header = last === undefined ? {} : { "Last-Event-ID": last };
        const common = { parseAs: "stream", signal } as const;
        const { data, error } = ends
          ? await this.api.GET("/tasks/{id}/events", { params: { path: { id: of }, header }, ...common })
          : await this.api.GET("/events", { params: { query: of, header }, ...common });
        return answered({ data: data ?? null, error });
      },
      ends,
      options,
    );
  }

  /** Cancel a task, also one that runs; throws {@link Refused} (409) where it has ended. */
  async cancel(id: string): Promise<Task> {
    return answered(await this.api.POST("/tasks/{id}/cancel", { params: { path: { id } } })) as Task;
  }

  /** Run a task again that has failed or was cancelled. */
  async retry(id: string): Promise<Task> {
    return answered(await this.api.POST("/tasks/{id}/retry", { params: { path: { id } } })) as Task;
  }

  /** Walk over all tasks that pass the filters, newest first, a page at a time. */
  async *tasks(filters: Filters = {}): AsyncGenerator<ListedTask, void, undefined> {
    let query = filters;
    for (;;) {
      const page = answered(await this.api.GET("/tasks", { params: { query } }));
      yield* page.tasks;
      if (page.next === null) return;
      query = { ...filters, cursor: page.next };
    }
  }
}

function answered<T>({ data, error }: { data?: T; error?: unknown }): T {
  if (error !== undefined) throw new Refused(error as components["schemas"]["Problem"]);
  return data as T;
}
