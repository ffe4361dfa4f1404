// What can be submitted, and a form to submit it.

import { html, useState } from "./preact.js";
import { post } from "./api.js";
import { Empty, usePoll, Wrong } from "./parts.js";
import { Field, initial, resolved, valueOf } from "./form.js";

function Submit({ action }) {
  const schema = resolved(action.data);
  const named = schema.type === "object" && schema.properties !== undefined;
  const properties = Object.entries(named ? schema.properties : { data: {} }).map(
    ([name, one]) => [name, resolved(one, action.data)]);
  const [name, setName] = useState(action.name === "*" ? "anything" : action.name);
  const [texts, setTexts] = useState(Object.fromEntries(properties.map(([field, one]) => [field, initial(one)])));
  const [delay, setDelay] = useState("");
  const [wrong, setWrong] = useState({});
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    const values = {};
    const found = {};
    for (const [field, one] of properties) {
      try {
        const value = valueOf(one, texts[field]);
        if (value !== undefined) values[field] = value;
      } catch (problem) {
        found[field] = problem.message;
      }
    }
    setWrong(found);
    setError(null);
    if (Object.keys(found).length > 0) return;
    const body = { action: name, data: named ? values : values.data ?? {} };
    if (delay !== "") body.delay = Number(delay);
    try {
      location.hash = `#/tasks/${(await post("tasks", body)).id}`;
    } catch (problem) {
      setError(problem);
      setWrong(Object.fromEntries(problem.errors?.map((one) => [one.path.replace(/^data\.?/, ""), one.message]) ?? []));
    }
  };
  return html`<form class="card submit" onSubmit=${submit}>
    <h2>Submit <code>${action.name}</code></h2>
    <p>${action.description}</p>
    ${action.name === "*" && html`<${Field} name="action" schema=${{ type: "string" }} text=${name} change=${setName} />`}
    ${properties.map(([field, one]) => html`<${Field} key=${field} name=${field} schema=${one} text=${texts[field]}
      required=${schema.required?.includes(field)} wrong=${wrong[field]}
      change=${(text) => setTexts({ ...texts, [field]: text })} />`)}
    <${Field} name="delay" schema=${{ type: "number", description: "seconds to wait before it begins" }}
      text=${delay} change=${setDelay} wrong=${wrong.delay} />
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
    <div class="pair actions">
      <ul class="choices">${actions.map((one) => html`<li key=${one.name}>
        <a href="#/actions/${encodeURIComponent(one.name)}" aria-current=${one === action ? "true" : undefined}>
          <b>${one.name}</b> <span class="hint">${one.description.split("\n")[0]}</span></a></li>`)}</ul>
      ${action && html`<${Submit} key=${action.name} action=${action} />`}
    </div>`;
}
