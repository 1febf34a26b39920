// What the import of a file would do: its columns, the phone number's, bad lines, and the first contacts.

import { html, useState, Button, Section, Select, Table, Notice } from "../../lib/ui.js";
import { session } from "../../lib/session.js";
import { message, t } from "../../lib/text.js";
import { labelOf } from "../parts/paths.js";
import { badLines, nameOf, save } from "./bad_lines.js";
import { Country } from "./country.js";

const COUNTED = ["rows", "created", "updated", "unchanged", "repeated", "failed"];
const FIRST_ERRORS = 10;

export function Tally({ counts, names = COUNTED }) {
  return html`<ul class="tally">
    ${names.filter((name) => counts[name] > 0 || name === names[0]).map((name) => html`<li key=${name}>${t(`import.${name}`, { count: counts[name] })}</li>`)}
  </ul>`;
}

/** onColumn gets the name of the phone number's column. */
export function Preview({ preview, onColumn }) {
  const { columns, msisdn_column: number, guessed } = preview;
  const names = columns.map(({ name }) => name);
  return html`<${Section} title=${t("import.preview")}>
    ${columns.length > 0 &&
    html`<${Select}
      label=${t("import.number_column")}
      hint=${number === null ? t("import.number_unknown") : guessed ? t("import.number_guessed") : undefined}
      value=${number ?? ""}
      options=${[...(number === null ? [["", t("import.choose_column")]] : []), ...names.map((name) => [name, name])]}
      onInput=${(name) => name && onColumn(name)}
    />`}
    ${number === null && columns.length > 0 ? null : html`<${Tally} counts=${preview} />`}
    ${!preview.complete && number !== null && html`<p class="hint">${t("import.incomplete")}</p>`}
    ${columns.length > 0 && html`<div class="scroll"><${Table} caption=${t("import.columns")} columns=${COLUMNS()} rows=${columns} /></div>`}
  <//>`;
}

/** The first contacts, as they would be stored. */
export function Contacts({ contacts }) {
  if (contacts.length === 0) return null;
  return html`<${Section} title=${t("import.first")}><div class="scroll"><${Table} caption=${t("import.first")} columns=${CONTACTS()} rows=${contacts} /></div><//>`;
}

const COLUMNS = () => [
  { key: "name", label: t("import.column") },
  { key: "field", label: t("import.becomes"), cell: ({ field }) => (field === "msisdn" ? t("import.number") : field === null ? t("import.ignored") : labelOf(field)) },
  { key: "values", label: t("import.values"), cell: ({ values }) => values.join(" · ") },
];
const CONTACTS = () => [
  { key: "msisdn", label: t("import.number") },
  { key: "line", label: t("import.line"), cell: ({ line }) => String(line) },
  { key: "metadata", label: t("import.fields"), cell: ({ metadata }) => written(metadata) },
];

/** "name: Alice · address › city: Baidoa". */
function written(metadata, outer = "") {
  return Object.entries(metadata)
    .map(([name, value]) => (value !== null && typeof value === "object" && !Array.isArray(value) ? written(value, `${outer}${name} › `) : `${outer}${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`))
    .join(" · ");
}

/** Whether most numbers may be bad for want of the country that they are of. */
function lacksCountry({ failed, created, updated, unchanged, errors }) {
  const numbers = errors.filter(({ column }) => column === "msisdn").length;
  return !session.account?.settings?.default_country && failed > created + updated + unchanged && numbers > errors.length / 2;
}

/** The bad lines of a preview, or of an import. After onCountry, if it is given, numbers are read as those of a country. */
export function Errors({ tally, number, onCountry }) {
  const [all, setAll] = useState(false);
  if (tally.failed === 0) return null;
  const shown = (all ? tally.errors : tally.errors.slice(0, FIRST_ERRORS)).map((error, index) => ({ ...error, id: index }));
  const more = tally.errors.length - shown.length;
  const left = tally.errors_omitted;
  const columns = [
    { key: "line", label: t("import.line"), cell: ({ line }) => String(line) },
    { key: "column", label: t("import.column"), cell: ({ column }) => nameOf(column, number) },
    { key: "value", label: t("import.value"), cell: ({ value }) => html`<bdi>${value}</bdi>` },
    { key: "reason", label: t("import.reason"), cell: ({ reason }) => message(reason) },
  ];
  return html`<${Section} title=${t("import.errors", { count: tally.failed })}>
    <p>${t("import.errors_hint")}</p>
    ${onCountry && lacksCountry(tally) && html`<${Country} onKnown=${onCountry} />`}
    <div class="scroll"><${Table} caption=${t("import.errors", { count: tally.failed })} columns=${columns} rows=${shown} /></div>
    <div class="actions">
      <${Button} onClick=${() => save(badLines(tally.errors, number), "bad-lines.csv")}>${t("import.save_errors")}<//>
      ${more > 0 && html`<${Button} kind="plain" onClick=${() => setAll(true)}>${t("import.show_errors", { count: more })}<//>`}
    </div>
    ${left > 0 && html`<${Notice}>${t("import.errors_left", { count: left })}<//>`}
  <//>`;
}
