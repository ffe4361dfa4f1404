// Requests to the API beside the page. A key, where one is wanted, is kept for as long as the tab.

const KEY = "taskmill.key"; // as `/docs` has it

/** What all of the page hears of: `refused` where the server asks for a key, or for another; `changed` where there is another. */
export const keys = new EventTarget();

export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.status = status;
    this.errors = problem.errors ?? [];
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => {
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
    keys.dispatchEvent(new Event("changed"));
  },
};

/** Ask the server, with the key. */
export async function ask(path, { accept = "application/json", ...options } = {}) {
  const given = key.get();
  const headers = { ...options.headers, Accept: accept };
  if (given) headers.Authorization = `Bearer ${given}`;
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401 && given === key.get()) keys.dispatchEvent(new Event("refused"));
  return answer;
}

/** Whole numbers beyond what a browser counts stay as they were written, where it can do that. */
function exact(_, value, context) {
  const large = typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "");
  return large && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
}

export async function call(method, path, body) {
  const sent = body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await ask(path, { method, ...sent });
  } catch {
    throw new Problem(0, { detail: "The server cannot be reached." });
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text === "" ? null : JSON.parse(text, exact);
  } catch {
    throw new Problem(answer.status, { detail: "The answer is no JSON: is this Taskmill?" });
  }
  if (!answer.ok) throw new Problem(answer.status, value ?? {});
  return value;
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);

export function query(values) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value) found.set(name, value);
  const text = found.toString();
  return text === "" ? "" : `?${text}`;
}
