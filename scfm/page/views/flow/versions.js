// What has been published of a flow, and the way back to it.

import { html, useData, useState, Busy, Button, Confirm, Notice, Paging, Section, Select, Table } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { may } from "../../lib/session.js";
import { t, time } from "../../lib/text.js";

const PER_PAGE = 10;
// Of the versions, the newest that are offered to choose from.
const MAX_CHOICES = 50;

export function VersionChoice({ flow, value, onVersion }) {
  const newest = flow.version ?? 0;
  const numbers = Array.from({ length: Math.min(newest, MAX_CHOICES) }, (_, index) => String(newest - index));
  const options = [["", t("flow.stored_draft")], ...numbers.map((number) => [number, t("flow.version_number", { version: number })])];
  return html`<${Select} label=${t("flow.which")} value=${value} options=${options} onInput=${onVersion} />`;
}

export function Versions({ flow, path, reload }) {
  const [page, setPage] = useState(1);
  const [back, setBack] = useState(null);
  const { data, error } = useData(() => api.get(`${path}/versions`, { page, per_page: PER_PAGE }), [page, flow.version]);
  const rollBack = async () => {
    await api.post(`${path}/publish`, { version: back });
    await reload();
  };
  const columns = [
    { key: "version", label: t("flows.version"), cell: (one) => t("flow.version_number", { version: String(one.version) }) },
    { key: "published_at", label: t("flow.published_at"), cell: (one) => time(one.published_at) },
    { key: "published_by", label: t("flow.published_by") },
    { key: "definition", label: t("flow.definition"), cell: (one) => html`<${Shown} definition=${one.definition} />` },
    ...(may("operator")
      ? [{ key: "back", label: t("audio.more"), cell: (one) => one.version !== flow.version && html`<${Button} onClick=${() => setBack(one.version)}>${t("flow.roll_back")}<//>` }]
      : []),
  ];
  return html`<${Section}>
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${data &&
    html`<${Table} caption=${t("flow.tab_versions")} columns=${columns} rows=${data.body} empty=${t("flow.no_version")} />
      <${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${setPage} />`}
    ${back !== null &&
    html`<${Confirm} title=${t("flow.roll_back_title", { version: String(back) })} label=${t("flow.roll_back")} danger=${false} action=${rollBack} onClose=${() => setBack(null)}>
      <p>${t("flow.roll_back_text")}</p>
    <//>`}
  <//>`;
}

function Shown({ definition }) {
  return html`<details><summary>${t("flow.show")}</summary><pre tabindex="0">${JSON.stringify(definition, null, 2)}</pre></details>`;
}
