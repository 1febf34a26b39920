// What people are searched by: their number, or any field of their metadata, of which the values that exist are offered.
// The API finds whole values: of a number in whatever form it is written.

import { html, useData, useState, Field, Select } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { t } from "../../lib/text.js";
import { labelOf, namesOf, nested } from "./paths.js";

const ANY = "";
const NUMBER = "msisdn";
// What nobody's name is, and what may be in a number: digits of any script, and what stands between them.
const LOOKS_LIKE_NUMBER = /^[+＋]?[\p{Nd}\s().\-–/]{3,}$/u;

/** The paths in the account's contacts' metadata, ["metadata.district", …]; none while they are not known. */
export function useContactFields() {
  const { data } = useData(() => api.get("api/contacts/fields"), []);
  return data?.body.fields.map((field) => field.path) ?? [];
}

/** The path of the contacts' names, as most lists have it. */
function namePath(fields) {
  return fields.find((path) => namesOf(path).length === 1 && namesOf(path)[0].toLowerCase() === "name") ?? "metadata.name";
}

/** The filters `q` of contacts for a search {field, value}; FIELDS are the paths that there are. */
export function conditions({ field = ANY, value = "" }, fields) {
  if (!value) return {};
  if (field === NUMBER || (field === ANY && LOOKS_LIKE_NUMBER.test(value))) return { msisdn: value };
  return { metadata: nested([{ path: field === ANY ? namePath(fields) : field, value }]) };
}

/** The two fields of a search; `list` is the id of the values that are offered, `onChange` gets {field} or {value}. */
export function SearchFields({ search: { field = ANY, value = "" }, fields, onChange, label, list }) {
  const path = field === ANY && fields.length ? namePath(fields) : field;
  // The values are asked for by those who search, and not by all who see the fields.
  const [begun, setBegun] = useState(false);
  const begin = () => setBegun(true);
  const { data } = useData(() => (begun && path.startsWith("metadata.") ? api.get("api/contacts/fields", { path }) : null), [path, begun]);
  const values = (data?.body.values ?? []).filter((one) => one.value !== null);
  const options = [[ANY, t("contacts.number_or_name")], [NUMBER, t("contacts.number")], ...fields.map((one) => [one, labelOf(one)])];
  return html`
    <${Select} label=${t("contacts.search_in")} name="field" value=${field} options=${options} onFocus=${begin} onInput=${(chosen) => (begin(), onChange({ field: chosen }))} />
    <${Field} label=${label} type="search" name="search" value=${value} onFocus=${begin} onInput=${(text) => onChange({ value: text })} list=${list} hint=${t("contacts.search_hint")} />
    <datalist id=${list}>${values.map((one) => html`<option key=${one.value} value=${one.value} />`)}</datalist>
  `;
}
