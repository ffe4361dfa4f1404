// A form made from a JSON Schema: fields for what has a type, fieldsets for objects and lists in it, and JSON for the rest.
// A draft is what a form holds of a value: text, an object or list of drafts, or null for what is left out.

import { html } from "./preact.js";

const TYPED = ["string", "integer", "number", "boolean"];
const WORDS = { integer: "a whole number", number: "a number", json: "as JSON" };

/** Schemas of one document, whose references mean what stands in it. */
export class Form {
  constructor(whole) {
    this.whole = whole;
  }

  /** The schema that is meant, and whether null may stand for it. */
  read(schema) {
    const { anyOf, $ref, ...found } = schema ?? {};
    if ($ref !== undefined) {
      const meant = this.read(this.whole.$defs?.[$ref.replace("#/$defs/", "")]);
      return { schema: { ...meant.schema, ...found }, optional: meant.optional };
    }
    if (anyOf === undefined) return { schema: found, optional: false };
    const others = anyOf.filter((one) => one.type !== "null");
    if (others.length !== 1) return { schema: { ...found, anyOf: others }, optional: others.length < anyOf.length };
    return { schema: { ...this.read(others[0]).schema, ...found }, optional: others.length < anyOf.length };
  }

  kind(schema) {
    if (schema.enum) return "enum";
    if (schema.anyOf) {
      const found = new Set(schema.anyOf.map((one) => one.type));
      return found.size === 2 && found.has("integer") && found.has("number") ? "number" : "json";
    }
    if (TYPED.includes(schema.type)) return schema.type;
    if (schema.type === "object" && schema.properties) return "object";
    return schema.type === "array" && schema.items && !schema.prefixItems ? "array" : "json";
  }

  /** What a form begins with. */
  initial(given, required = true) {
    const { schema, optional } = this.read(given);
    if (schema.default !== undefined) return this.draft(given, schema.default);
    const kind = this.kind(schema);
    if (kind === "boolean") return required && !optional ? false : "";
    if (kind === "array") return optional ? null : [];
    if (kind !== "object") return "";
    return required && !optional ? this.fields(schema, (one, needed) => this.initial(one, needed)) : null;
  }

  /** The draft of a value. */
  draft(given, value) {
    const { schema, optional } = this.read(given);
    const kind = this.kind(schema);
    if (kind === "boolean" && !optional) return value === true;
    if (value === null) return ["object", "array"].includes(kind) ? null : "";
    if (kind === "json") return JSON.stringify(value);
    if (kind === "enum") return String(schema.enum.indexOf(value));
    if (kind === "array") return value.map((one) => this.draft(schema.items, one));
    if (kind !== "object") return String(value);
    return this.fields(schema, (one, needed, name) => (name in value ? this.draft(one, value[name]) : this.initial(one, needed)));
  }

  fields(schema, make) {
    const needed = new Set(schema.required);
    return Object.fromEntries(Object.entries(schema.properties).map(([name, one]) => [name, make(one, needed.has(name), name)]));
  }

  /** The value of a draft, undefined where it is left out. What is wrong goes into `wrong`, by its path. */
  value(given, draft, required, path, wrong) {
    const { schema, optional } = this.read(given);
    const kind = this.kind(schema);
    if (draft === null || (draft === "" && optional)) return required ? null : undefined;
    if (kind === "object") {
      const values = Object.entries(this.fields(schema, (one, needed, name) => this.value(one, draft[name], needed, join(path, name), wrong)));
      return Object.fromEntries(values.filter(([, value]) => value !== undefined));
    }
    if (kind === "array") return draft.map((one, place) => this.value(schema.items, one, true, `${path}[${place}]`, wrong));
    if (typeof draft === "boolean") return draft;
    if (draft === "" && (!required || kind === "json") && !(kind === "string" && schema.default)) return undefined;
    try {
      return valueOf(kind, schema, draft);
    } catch (problem) {
      wrong[path] = problem.message;
      return undefined;
    }
  }
}

const join = (path, name) => (path === "" ? name : `${path}.${name}`);

function valueOf(kind, schema, text) {
  if (kind === "string") return text;
  if (kind === "boolean") return text === "true";
  if (kind === "json") return JSON.parse(text);
  if (kind === "enum") {
    if (text === "") throw new Error("one is wanted");
    return schema.enum[text];
  }
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isNaN(value)) throw new Error("a number is wanted");
  const large = /^-?\d+$/.test(text.trim()) && !Number.isSafeInteger(value) && JSON.rawJSON;
  return large ? JSON.rawJSON(text.trim()) : value; // as it was typed: a browser counts no further
}

function hintOf(kind, { description, minimum, maximum, maxLength }) {
  if (description) return description;
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  if (minimum !== undefined) return `${minimum} or more`;
  if (maximum !== undefined) return `at most ${maximum}`;
  return maxLength ? `at most ${maxLength} characters` : WORDS[kind];
}

function Choice({ given, choices, draft, change, none }) {
  return html`<select ...${given} value=${draft} onChange=${(event) => change(event.target.value)}>
    ${none && html`<option value="">–</option>`}
    ${choices.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select>`;
}

/** One value of a form, whatever it is made of: `path` is what a problem of the server calls it. */
export function Field({ form, name, path, schema: asked, required, item = false, draft, change, wrong }) {
  const { schema, optional } = form.read(asked);
  const kind = form.kind(schema);
  const parts = { form, name, path, schema, required: required && !optional, item, draft, change, wrong };
  if (kind === "object") return html`<${Group} ...${parts} />`;
  if (kind === "array") return html`<${Items} ...${parts} />`;
  const id = `field-${path}`;
  const error = wrong[path];
  const hint = error ?? hintOf(kind, schema);
  const given = { id, name: path, "aria-describedby": hint && `${id}-hint`, "aria-invalid": error ? "true" : undefined };
  const typed = (event) => change(event.target.value);
  const title = html`${name} ${required && !item && kind !== "boolean" && html` <span class="hint">required</span>`}`;
  const below = hint && html`<span id="${id}-hint" class=${error ? "wrong" : "hint"}>${hint}</span>`;
  if (kind === "boolean" && typeof draft === "boolean") {
    return html`<div class="field"><label class="check"><input type="checkbox" ...${given} checked=${draft}
      onChange=${(event) => change(event.target.checked)} /> ${name}</label> ${below}</div>`;
  }
  let control;
  if (kind === "boolean") {
    control = html`<${Choice} ...${{ given, draft, change }} none choices=${[["true", "true"], ["false", "false"]]} />`;
  } else if (kind === "enum") {
    control = html`<${Choice} ...${{ given, draft, change }} none=${optional || schema.default === undefined && (draft === "" || !required)}
      choices=${schema.enum.map((one, place) => [String(place), String(one)])} />`;
  } else if (kind === "integer" || kind === "number") {
    control = html`<input ...${given} value=${draft} inputmode="decimal" autocomplete="off" onInput=${typed} />`;
  } else {
    control = html`<textarea ...${given} value=${draft} rows=${kind === "json" ? 2 : 1} class=${kind === "json" ? "data" : undefined}
      spellcheck=${kind === "json" ? "false" : undefined} onInput=${typed}></textarea>`;
  }
  return html`<div class="field"><label for=${id}>${title}</label>${control}${below}</div>`;
}

/** An object: its fields, or a button to add one where it may be left out. */
function Group({ form, name, path, schema, required, item, draft, change, wrong }) {
  const begin = () => change(form.fields(schema, (one, needed) => form.initial(one, needed)));
  return html`<fieldset id="field-${path}" tabindex="-1"><legend>${name}${required && !item && html` <span class="hint">required</span>`}</legend>
    ${wrong[path] && html`<p class="wrong">${wrong[path]}</p>`}
    ${draft === null
      ? html`<button type="button" onClick=${begin}>Add <span class="unseen">${name}</span></button>`
      : html`<${Fields} ...${{ form, schema, draft, change, wrong, path }} />
        ${!required && html`<button type="button" onClick=${() => change(null)}>Leave out <span class="unseen">${name}</span></button>`}`}
  </fieldset>`;
}

export function Fields({ form, schema, draft, change, wrong, path = "" }) {
  return Object.entries(schema.properties).map(([name, one]) => html`<${Field} key=${name} form=${form} name=${name}
    path=${join(path, name)} schema=${one} required=${schema.required?.includes(name) ?? false} draft=${draft[name]} wrong=${wrong}
    change=${(value) => change({ ...draft, [name]: value })} />`);
}

function Items({ form, name, path, schema, required, item, draft, change, wrong }) {
  const hint = hintOf("array", schema);
  const list = draft ?? [];
  return html`<fieldset id="field-${path}" tabindex="-1"><legend>${name}${required && !item && html` <span class="hint">required</span>`}</legend>
    ${hint && html`<p class="hint">${hint}</p>`}
    ${wrong[path] && html`<p class="wrong">${wrong[path]}</p>`}
    ${list.map((one, place) => html`<div class="item" key=${place}>
      <${Field} form=${form} name="${name} ${place + 1}" path="${path}[${place}]" schema=${schema.items} required item draft=${one} wrong=${wrong}
        change=${(value) => change(list.with(place, value))} />
      <button type="button" aria-label="Remove ${name} ${place + 1}" onClick=${() => change(list.toSpliced(place, 1))}>×</button></div>`)}
    <button type="button" onClick=${() => change([...list, form.initial(schema.items)])}>Add <span class="unseen">to ${name}</span></button>
  </fieldset>`;
}
