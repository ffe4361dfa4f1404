// What can be submitted, and a form to submit it.

import { html, useState } from "./preact.js";
import { post } from "./api.js";
import { Empty, usePoll, Wrong } from "./parts.js";
import { Field, Fields, Form } from "./form.js";

const ANYTHING = { type: "object", properties: { data: {} } };
const OPTIONS = {
  type: "object",
  properties: {
    delay: { type: "number", description: "seconds to wait before it begins" },
    priority: { type: "integer", minimum: 0, maximum: 9 },
    tags: { type: "array", items: { type: "string" } },
  },
};
const options = new Form(OPTIONS);

/** The first field that is wrong, once it has been drawn so. */
function show(wrong) {
  const [first] = Object.keys(wrong);
  setTimeout(() => document.getElementById(`field-${first}`)?.focus());
}

/** The path of the field that has what stands at a path, such as the JSON that it is in; null where there is none. */
function nearest(path) {
  if (path === "" || document.getElementById(`field-${path}`)) return path || null;
  return nearest(path.replace(/(^|\.|\[)[^.[]*$/, ""));
}

function Submit({ action }) {
  const form = new Form(action.data);
  const { schema: found } = form.read(action.data);
  const named = form.kind(found) === "object";
  const [schema, path] = named ? [found, "data"] : [ANYTHING, ""];
  const [name, setName] = useState(action.name === "*" ? "anything" : action.name);
  const [draft, setDraft] = useState(form.initial(schema));
  const [more, setMore] = useState(options.initial(OPTIONS));
  const [wrong, setWrong] = useState({});
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    const found = {};
    const values = form.value(schema, draft, true, path, found);
    const body = { action: name, data: named ? values : values.data ?? {}, ...options.value(OPTIONS, more, true, "", found) };
    if (body.tags.length === 0) delete body.tags;
    setWrong(found);
    setError(null);
    if (Object.keys(found).length > 0) return show(found);
    try {
      location.hash = `#/tasks/${(await post("tasks", body)).id}`;
    } catch (problem) {
      const [seen, lost] = [{}, []];
      for (const { path, message } of problem.errors ?? []) {
        const field = nearest(path);
        if (field) seen[field] = message;
        else lost.push(`${path}: ${message}`);
      }
      setError({ message: [Object.keys(seen).length ? "Mend the marked fields." : problem.message, ...lost].join(" ") });
      setWrong(seen);
      show(seen);
    }
  };
  return html`<form class="card submit" onSubmit=${submit} noValidate>
    <h2>Submit <code>${action.name}</code></h2>
    ${action.description && html`<p>${action.description}</p>`}
    ${action.name === "*" && html`<${Field} form=${form} name="action" path="action" schema=${{ type: "string" }} required
      draft=${name} change=${setName} wrong=${wrong} />`}
    <${Fields} form=${form} path=${path} schema=${schema} draft=${draft} change=${setDraft} wrong=${wrong} />
    <details><summary>Options</summary>
      <${Fields} form=${options} schema=${OPTIONS} draft=${more} change=${setMore} wrong=${wrong} /></details>
    <button class="main">Submit</button>
    <${Wrong} error=${error} />
  </form>`;
}

export function Actions({ rest: [chosen] }) {
  const { data, error } = usePoll("actions", 10_000, false);
  const actions = data?.actions ?? [];
  const action = actions.find((one) => one.name === chosen) ?? actions[0];
  return html`
    <h1>Actions</h1>
    <${Wrong} error=${error} />
    ${data && actions.length === 0 && html`<${Empty}>This application has no action yet: add one to actions.py.<//>`}
    <div class="actions">
      <ul class="choices">${actions.map((one) => html`<li key=${one.name}>
        <a href="#/actions/${encodeURIComponent(one.name)}" aria-current=${one === action ? "true" : undefined}>
          <b>${one.name}</b> <span class="hint">${one.description.split("\n")[0]}</span></a></li>`)}</ul>
      ${action && html`<${Submit} key=${action.name} action=${action} />`}
    </div>`;
}
