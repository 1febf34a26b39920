// Contacts: found by number, name or any of their metadata; added, exported.

import { html, useData, useState, Button, Busy, Notice, Page, Paging, Table } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { href, replaceQuery } from "../lib/router.js";
import { may } from "../lib/session.js";
import { clock, t } from "../lib/text.js";
import { ContactEditor } from "./contacts/editor.js";
import { ContactSearch } from "./contacts/search.js";
import { conditions, useContactFields } from "./parts/contact_search.js";
import { flattened, nameOf } from "./parts/metadata.js";
import "./parts/style.js";

const PER_PAGE = 25;
// Of the metadata, beside the name, columns that are shown.
const MAX_COLUMNS = 3;

export default function Contacts({ query }) {
  const page = Number(query.page) || 1;
  const [adding, setAdding] = useState(false);
  const fields = useContactFields();
  const q = conditions(query, fields);
  const { data, error, reload } = useData(
    () => api.get("api/contacts", { page, per_page: PER_PAGE, q }),
    [JSON.stringify(q), page],
  );
  const actions = html`
    <a class="button" href=${api.href("api/contacts/export", { q, spreadsheet: true })} download>${t("contacts.export")}</a>
    ${may("operator") &&
    html`<a class="button" href=${href("contacts", "import")}>${t("contacts.import")}</a>
      <${Button} kind="primary" onClick=${() => setAdding(true)}>${t("contacts.add")}<//>`}
  `;
  return html`<${Page} title=${t("contacts.title")} actions=${actions}>
    <${ContactSearch} query=${query} fields=${fields} onSearch=${(found) => replaceQuery(found)} />
    <${Notice} error=${error} />
    ${data && html`<${Found} data=${data} query=${query} page=${page} />`}
    ${!data && !error && html`<${Busy} />`}
    ${adding && html`<${ContactEditor} fields=${fields} onClose=${() => setAdding(false)} onSaved=${reload} />`}
  <//>`;
}

function Found({ data, query, page }) {
  const rows = data.body;
  const columns = [
    { key: "msisdn", label: t("contacts.number"), cell: (one) => html`<a class="number" href=${href("contacts", one.id)}>${one.msisdn}</a>` },
    { key: "name", label: t("contacts.name"), cell: (one) => html`<bdi>${nameOf(one.metadata)}</bdi>` },
    ...commonPaths(rows).map((path) => ({
      key: path,
      label: path,
      cell: (one) => html`<bdi>${new Map(flattened(one.metadata)).get(path)}</bdi>`,
    })),
    { key: "created_at", label: t("contacts.added"), cell: (one) => clock(one.created_at) },
  ];
  return html`<p role="status">${t("contacts.count", { count: data.total })}</p>
    <${Table} caption=${t("contacts.title")} columns=${columns} rows=${rows} empty=${query.value ? t("contacts.none_found") : t("contacts.none")} />
    <${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${(number) => replaceQuery({ ...query, page: number })} />`;
}

/** The paths that most of the rows have, beside the name. */
function commonPaths(rows) {
  const counts = new Map();
  for (const row of rows)
    for (const [path] of flattened(row.metadata))
      if (path.toLowerCase() !== "name") counts.set(path, (counts.get(path) ?? 0) + 1);
  const sorted = [...counts].sort(([, one], [, other]) => other - one);
  return sorted.slice(0, MAX_COLUMNS).map(([path]) => path);
}
