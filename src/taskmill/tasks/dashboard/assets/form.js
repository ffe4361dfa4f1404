// A form made from a JSON Schema: a field for each property, and JSON for what has no field of its own.

import { html } from "./preact.js";

/** The schema that a reference within it means. */
export function resolved(schema, whole = schema) {
  const name = schema?.$ref?.replace("#/$defs/", "");
  return name === undefined ? schema ?? {} : resolved(whole.$defs?.[name] ?? {}, whole);
}

const kinds = (schema) => (schema.anyOf ?? [schema]).map((one) => one.type).filter((type) => type !== "null");

function kindOf(schema) {
  if (schema.enum) return "enum";
  const found = new Set(kinds(schema));
  if (found.size === 1) {
    const [kind] = found;
    if (["string", "integer", "number", "boolean"].includes(kind)) return kind;
  }
  return found.size === 2 && found.has("integer") && found.has("number") ? "number" : "json";
}

/** The text that a field begins with. */
export function initial(schema) {
  if (schema.default === undefined || schema.default === null) return kindOf(schema) === "boolean" ? "false" : "";
  return kindOf(schema) === "json" ? JSON.stringify(schema.default) : String(schema.default);
}

/** The value of a field's text, undefined where it is left out; throws what is wrong. */
export function valueOf(schema, text) {
  const kind = kindOf(schema);
  if (kind === "string") return text === "" && schema.default === undefined ? "" : text;
  if (text.trim() === "") return undefined;
  if (kind === "boolean") return text === "true";
  if (kind === "enum") return schema.enum.find((one) => String(one) === text);
  if (kind === "json") return JSON.parse(text);
  const value = Number(text);
  if (Number.isNaN(value)) throw new Error("a number is wanted");
  return value;
}

export function Field({ name, schema, required, text, change, wrong }) {
  const kind = kindOf(schema);
  const id = `field-${name}`;
  const given = { id, name, value: text, "aria-describedby": `${id}-hint`, "aria-invalid": wrong ? "true" : undefined };
  const input = (event) => change(event.target.value);
  let control = html`<textarea ...${given} rows="2" spellcheck="false" onInput=${input}></textarea>`;
  if (kind === "boolean") {
    control = html`<select ...${given} onChange=${input}><option>false</option><option>true</option></select>`;
  } else if (kind === "enum") {
    control = html`<select ...${given} onChange=${input}>
      ${schema.enum.map((one) => html`<option>${String(one)}</option>`)}</select>`;
  } else if (kind === "integer" || kind === "number") {
    control = html`<input ...${given} inputmode="decimal" onInput=${input} />`;
  } else if (kind === "string") {
    control = html`<textarea ...${given} rows="1" onInput=${input}></textarea>`;
  }
  return html`<div class="field">
    <label for=${id}>${name}${required && html` <span class="hint">required</span>`}</label>${control}
    <span id="${id}-hint" class=${wrong ? "wrong" : "hint"}>${wrong ?? schema.description ?? (kind === "json" ? "as JSON" : kind)}</span>
  </div>`;
}
