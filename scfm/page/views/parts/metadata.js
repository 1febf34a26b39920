// The metadata of a resource: shown as a list of names and values, and edited in rows.

import { html, Button, Empty, Field } from "../../lib/ui.js";
import { ApiError } from "../../lib/api.js";
import { t } from "../../lib/text.js";

// What call flows keep in the metadata of contacts and calls: the server's, which no client changes.
const MEMORY = "call_flow_data";

/** The values of metadata with their paths, [["address.city", "Baidoa"], …], without what call flows keep. */
export function flattened(metadata, prefix = "") {
  return Object.entries(metadata ?? {}).flatMap(([name, value]) => {
    if (!prefix && name === MEMORY) return [];
    const path = prefix + name;
    const inside = value !== null && typeof value === "object" && !Array.isArray(value);
    return inside && Object.keys(value).length ? flattened(value, `${path}.`) : [[path, written(value)]];
  });
}

export const written = (value) => (typeof value === "string" ? value : value === null ? "" : JSON.stringify(value));

/** The name of a contact, as most lists have it; "" without one. */
export function nameOf(metadata) {
  const found = Object.entries(metadata ?? {}).find(([key]) => key.toLowerCase() === "name");
  return found && typeof found[1] === "string" ? found[1] : "";
}

export function Facts({ facts }) {
  const known = facts.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return html`<dl class="facts">
    ${known.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

export function Metadata({ metadata }) {
  const values = flattened(metadata);
  return values.length ? html`<${Facts} facts=${values} />` : html`<${Empty}>${t("person.no_metadata")}<//>`;
}

/** Rows as MetadataEditor has them: a value that is no text is edited as JSON, and stays what it was unless changed. */
export function rowsOf(metadata) {
  return Object.entries(metadata ?? {})
    .filter(([name]) => name !== MEMORY)
    .map(([name, value]) => ({ name, text: written(value), was: value }));
}

/** The metadata that rows stand for. A row without a name is left out. Throws ApiError for JSON that is none. */
export function metadataOf(rows) {
  return Object.fromEntries(rows.filter((row) => row.name.trim()).map((row) => [row.name.trim(), valueOf(row)]));
}

function valueOf({ text, was }) {
  if (was === undefined || typeof was === "string") return text;
  if (text === written(was)) return was;
  if (was !== null && typeof was === "object") return parsed(text);
  return text;
}

/** What a text is as JSON. Throws ApiError where it is none. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(422, { message: t("contacts.no_json") });
  }
}

/** Edits rows of {name, text}; onRows gets the new ones. */
export function MetadataEditor({ rows, onRows, names = [] }) {
  const change = (index, part) => onRows(rows.map((row, at) => (at === index ? { ...row, ...part } : row)));
  return html`<fieldset class="rows">
    <legend>${t("contacts.metadata")}</legend>
    <datalist id="metadata-names">${names.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
    ${rows.map(
      (row, index) => html`<div class="row" key=${index}>
        <${Field} label=${t("contacts.metadata_name")} value=${row.name} list="metadata-names" onInput=${(name) => change(index, { name })} />
        <${Field} label=${t("contacts.metadata_value")} value=${row.text} onInput=${(text) => change(index, { text })} />
        <${Button} kind="plain" aria-label=${t("contacts.metadata_remove", { name: row.name })} onClick=${() => onRows(rows.filter((_, at) => at !== index))}>×<//>
      </div>`,
    )}
    <${Button} kind="plain" onClick=${() => onRows([...rows, { name: "", text: "" }])}>${t("contacts.metadata_add")}<//>
  </fieldset>`;
}
