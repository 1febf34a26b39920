// For super admins: the calls of all accounts, and the accounts.

import { html, useData, useState, Busy, Notice, Paging, Section, Table } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { clock, t } from "../../lib/text.js";
import { Hold } from "./hold.js";

const PER_PAGE = 25;

export function ServerHold() {
  const { data, error, reload } = useData(() => api.get("api/server"), []);
  return html`<${Section} title=${t("settings.server")}>
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${data &&
    html`<p>${t("settings.version", { version: data.body.version })}</p>
      <${Hold} held=${data.body.calls_held_at} path="api/server/server_events" whose="server" reload=${reload} />`}
  <//>`;
}

export function Accounts() {
  const [page, setPage] = useState(1);
  const { data, error, reload } = useData(() => api.get("api/accounts", { page, per_page: PER_PAGE }), [page]);
  const columns = [
    { key: "id", label: t("settings.account"), cell: (one) => html`<bdi>${nameOf(one)}</bdi>` },
    { key: "provider", label: t("settings.provider"), cell: (one) => one.settings.platform_provider_name ?? t("settings.provider_of_server") },
    { key: "created_at", label: t("contacts.added"), cell: (one) => clock(one.created_at) },
    { key: "hold", label: t("settings.hold_title"), cell: (one) => html`<${Hold} held=${one.calls_held_at} path=${`api/accounts/${one.id}/account_events`} whose="account" name=${nameOf(one)} reload=${reload} />` },
  ];
  return html`<${Section} title=${t("settings.accounts")}>
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${data &&
    html`<${Table} caption=${t("settings.accounts")} columns=${columns} rows=${data.body} />
      <${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${setPage} />`}
  <//>`;
}

function nameOf(account) {
  const number = t("settings.account_number", { id: String(account.id) });
  return typeof account.metadata.name === "string" ? `${account.metadata.name} (${number})` : number;
}
