// Phone calls: found by number, status, alert and time, the newest first.

import { html, useData, Busy, Field, Notice, Page, Paging, Select, Status, Table } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { href, replaceQuery } from "../lib/router.js";
import { clock, duration, hasText, t, zoneName } from "../lib/text.js";
import { whyOf } from "./call/why.js";
import { instant } from "./parts/instant.js";
import { SearchForm, useSearch } from "./parts/search.js";
import "./parts/style.js";

const PER_PAGE = 25;

const STATUSES = [
  ...["created", "queued", "remotely_queued", "in_progress", "remote_fetch_queued", "completed"],
  ...["busy", "not_answered", "failed", "errored", "canceled"],
];

export default function Calls({ query }) {
  const page = Number(query.page) || 1;
  const { data, error } = useData(() => {
    const path = /^\d+$/.test(query.callout ?? "") ? `api/callouts/${query.callout}/phone_calls` : "api/phone_calls";
    return api.newest(path, { q: conditions(query) }, page, PER_PAGE);
  }, [JSON.stringify(query)]);
  return html`<${Page} title=${t("calls.title")}>
    <${Search} query=${query} />
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${data &&
    html`<p role="status">${t("calls.count", { count: data.total })}</p>
      <${CallTable} calls=${data.rows} />
      <${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${(number) => replaceQuery({ ...query, page: number })} />`}
  <//>`;
}

function conditions({ number, status, from, until }) {
  return {
    msisdn: number,
    status,
    created_at_or_after: instant(from),
    created_at_before: instant(until),
  };
}

function Search({ query }) {
  const { wanted, change, search, clear } = useSearch(query);
  const statuses = STATUSES.map((status) => [status, hasText(`status.${status}`) ? t(`status.${status}`) : status]);
  const zone = t("calls.zone", { zone: zoneName() });
  return html`<${SearchForm} search=${search} clear=${clear}>
    <${Field} label=${t("contacts.number")} type="tel" value=${wanted.number ?? ""} onInput=${change("number")} />
    <${Select} label=${t("calls.status")} value=${wanted.status ?? ""} options=${[["", t("calls.any")], ...statuses]} onInput=${change("status")} />
    <${Field} label=${t("calls.callout")} inputmode="numeric" pattern="[0-9]*" value=${wanted.callout ?? ""} onInput=${change("callout")} />
    <${Field} label=${t("calls.from")} type="datetime-local" value=${wanted.from ?? ""} onInput=${change("from")} hint=${zone} />
    <${Field} label=${t("calls.until")} type="datetime-local" value=${wanted.until ?? ""} onInput=${change("until")} hint=${zone} />
  <//>`;
}

function CallTable({ calls }) {
  const columns = [
    { key: "id", label: t("calls.call"), cell: (call) => html`<a href=${href("calls", call.id)}>${t("calls.call_number", { id: String(call.id) })}</a>` },
    { key: "created_at", label: t("calls.time"), cell: (call) => clock(call.created_at) },
    { key: "msisdn", label: t("contacts.number"), cell: (call) => html`<${Caller} call=${call} />` },
    { key: "status", label: t("calls.status"), cell: (call) => html`<${Status} status=${call.status} />` },
    { key: "why", label: t("calls.why"), cell: (call) => html`<bdi>${whyOf(call)}</bdi>` },
    { key: "duration", label: t("calls.duration"), numeric: true, cell: (call) => duration(call.duration) },
  ];
  return html`<${Table} caption=${t("calls.title")} columns=${columns} rows=${calls} empty=${t("calls.none")} />`;
}

/** The number of a call, which leads to the person. */
export function Caller({ call }) {
  const number = call.msisdn ?? t("calls.no_number");
  const inbound = call.remote_direction === "inbound" && html` <span class="hint">${t("calls.inbound")}</span>`;
  return html`${call.contact_id ? html`<a class="number" href=${href("contacts", call.contact_id)}>${number}</a>` : number}${inbound}`;
}
