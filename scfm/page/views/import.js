// The import of contacts: a file is looked at, and stored when somebody says so.

import "./new-alert/style.js";
import * as api from "../lib/api.js";
import { html, useRef, useState, Page, Section, Button, Field, Select, Notice } from "../lib/ui.js";
import { number, t } from "../lib/text.js";
import { href } from "../lib/router.js";
import { Drop } from "./import/drop.js";
import { CHARSETS, MAX_FILE, MAX_WORKBOOK, contentType, isTooLarge, isWorkbook, kindOf, listName } from "./import/file.js";
import { Contacts, Errors, Preview, Tally } from "./import/preview.js";

const PATH = "api/contacts/import";
const STORED = ["created", "updated", "unchanged", "failed"];

/** What is known: the file and its kind, what is said of it, and how far it has been sent (`done`, 0 to 1, else null). */
const NOTHING = { file: null, kind: null, list: "", sheet: "", column: null, preview: null, stored: null, done: null, error: null };

export default function Import() {
  const [state, setState] = useState(NOTHING);
  const sending = useRef(null);
  const tell = (part) => setState((before) => ({ ...before, ...part }));

  /** Send the file; the body of the answer, or null where something else was begun meanwhile. */
  const send = async (now, params) => {
    sending.current?.abort();
    const mine = (sending.current = new AbortController());
    const query = { ...params, ...(now.column && { msisdn_column: now.column }), ...(now.sheet && { sheet: now.sheet }), ...(now.list.trim() && { metadata: { list: now.list.trim() } }) };
    tell({ ...now, done: 0, error: null, stored: null });
    try {
      const { body } = await api.send(PATH, now.file, query, { type: contentType(now.kind), signal: mine.signal, onProgress: (done) => mine === sending.current && tell({ done }) });
      return mine === sending.current ? body : null;
    } catch (error) {
      if (mine === sending.current) tell({ error, done: null });
      return null;
    }
  };
  const look = async (now) => {
    const preview = await send({ ...now, preview: null }, { preview: "true" });
    if (preview) tell({ preview, column: preview.msisdn_column, done: null });
  };
  const take = async (file) => {
    const kind = await kindOf(file);
    const now = { ...NOTHING, file, kind, list: listName(file) };
    if (file.size === 0) tell({ ...now, error: new Error(t("import.empty_file")) });
    else if (isTooLarge(file, kind)) tell({ ...now, error: new Error(t("import.too_large", { size: (isWorkbook(kind) ? MAX_WORKBOOK : MAX_FILE) >> 20 })) });
    else await look(now);
  };
  const store = async () => {
    const stored = await send(state, {});
    if (stored) tell({ stored, done: null });
  };

  const { file, kind, preview, stored, done, error } = state;
  const ready = preview !== null && (preview.msisdn_column !== null || preview.columns.length === 0) && preview.rows > preview.failed;
  if (stored) return html`<${Stored} state=${state} onAgain=${() => setState(NOTHING)} />`;
  return html`<${Page} title=${t("import.title")} actions=${html`<${Button} href=${href("contacts")}>${t("shell.contacts")}<//>`}>
    <${Section} title=${t("import.file")}>
      <${Drop} onFile=${take} />
      ${file && html`<p><strong>${file.name}</strong> (${number(file.size / 1024, { maximumFractionDigits: 1 })} kB)</p>`}
      ${done !== null && html`<${Sending} done=${done} />`}
      ${error && html`<${Notice} error=${error} />`}
      ${file && kind.text && html`<${Select} label=${t("import.charset")} value=${kind.charset ?? ""} options=${[["", t("import.charset_itself")], ...CHARSETS.map((one) => [one, one.toUpperCase()])]} onInput=${(charset) => look({ ...state, column: null, kind: { ...kind, charset: charset || null } })} />`}
      ${file && isWorkbook(kind) && html`<${Sheet} value=${state.sheet} onSheet=${(sheet) => look({ ...state, column: null, sheet })} />`}
    <//>
    ${preview && html`<${Preview} preview=${preview} onColumn=${(column) => look({ ...state, column })} />`}
    ${preview &&
    html`<${Section} title=${t("import.store")}>
      <${Field} label=${t("import.list")} hint=${t("import.list_hint")} maxlength="100" value=${state.list} onInput=${(list) => tell({ list })} />
      <div class="actions">
        <${Button} kind="primary" disabled=${!ready} busy=${done !== null} onClick=${store}>${t("import.import", { count: preview.rows - preview.failed - preview.repeated })}<//>
      </div>
      <p class="hint">${t("import.nothing_stored")}</p>
    <//>
    <${Contacts} contacts=${preview.contacts} />
    <${Errors} tally=${preview} number=${preview.msisdn_column} onCountry=${() => look(state)} />`}
  <//>`;
}

function Sheet({ value, onSheet }) {
  const [name, setName] = useState(value);
  return html`<details>
    <summary>${t("import.sheets")}</summary>
    <div class="row">
      <${Field} label=${t("import.sheet")} hint=${t("import.sheet_hint")} value=${name} onInput=${setName} />
      <${Button} onClick=${() => onSheet(name)}>${t("import.read_sheet")}<//>
    </div>
  </details>`;
}

function Sending({ done }) {
  return html`<p role="status">${t(done < 1 ? "import.sending" : "import.reading")}</p>
    <progress max="1" value=${done < 1 ? done : undefined} aria-label=${t("import.sending")}></progress>`;
}

/** What has been stored, and what may be done with it. */
function Stored({ state, onAgain }) {
  const { stored, list, column } = state;
  const name = list.trim();
  const filter = name ? { metadata: JSON.stringify({ list: name }) } : {};
  return html`<${Page} title=${t("import.done")}>
    <${Section} title=${state.file.name}>
      <${Tally} counts=${stored} names=${STORED} />
      <div class="actions">
        <${Button} kind="primary" href=${href("alerts", "new", filter)}>${t("import.alert")}<//>
        <${Button} href=${href("contacts")}>${t("shell.contacts")}<//>
        <${Button} onClick=${onAgain}>${t("import.another")}<//>
      </div>
    <//>
    <${Errors} tally=${stored} number=${column} />
  <//>`;
}
