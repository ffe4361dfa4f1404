import type { components } from "./schema.js";

/** The server refused a request, and says why (RFC 9457). */
export class Refused extends Error {
  constructor(readonly problem: components["schemas"]["Problem"]) {
    super(problem.detail ?? problem.title);
    this.name = "Refused";
  }

  get status(): number {
    return this.problem.status;
  }

  /** What is wrong with which field, such as `{path: "data.text", message: "…"}`. */
  get fields(): readonly { path: string; message: string }[] {
    return this.problem.errors ?? [];
  }
}

/** A task has ended, and there is no result. */
export class NoResult extends Error {
  constructor(readonly task: components["schemas"]["TaskDetails"]) {
    const why = task.error ? `: ${task.error.type}: ${task.error.message}` : "";
    super(`task ${task.id} ${task.status}${why}`);
    this.name = "NoResult";
  }
}
