// The audit log: who did what, when, and what was before and after.

import { html, useData, Busy, Field, Notice, Page, Paging, Select, Table } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { href, replaceQuery } from "../lib/router.js";
import { clock, hasText, t, zoneName } from "../lib/text.js";
import { instant } from "./parts/instant.js";
import { written } from "./parts/metadata.js";
import { SearchForm, useSearch } from "./parts/search.js";
import { ACTIONS, SUBJECTS } from "./audit/words.js";
import "./parts/style.js";

const PER_PAGE = 25;

export default function Audit({ query }) {
  const page = Number(query.page) || 1;
  const { data, error } = useData(() => api.newest("api/audit_events", { q: conditions(query) }, page, PER_PAGE), [JSON.stringify(query)]);
  const columns = [
    { key: "created_at", label: t("audit.when", { zone: zoneName() }), cell: (event) => clock(event.created_at, { seconds: true }) },
    { key: "actor", label: t("audit.who"), cell: (event) => html`<bdi>${actorOf(event.actor)}</bdi>` },
    { key: "action", label: t("audit.action"), cell: (event) => html`<bdi>${word("action", event.action)}</bdi>` },
    { key: "subject", label: t("audit.subject"), cell: (event) => html`<${Subject} subject=${event.subject} />` },
    { key: "changes", label: t("audit.changes"), cell: (event) => html`<${Changes} changes=${event.changes} />` },
    { key: "address", label: t("audit.address"), cell: (event) => html`<bdi>${event.address}</bdi>` },
  ];
  return html`<${Page} title=${t("audit.title")}>
    <${Search} query=${query} />
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${data &&
    html`<p role="status">${t("audit.count", { count: data.total })}</p>
      <${Table} caption=${t("audit.title")} columns=${columns} rows=${data.rows} empty=${t("audit.none")} />
      <${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${(next) => replaceQuery({ ...query, page: next })} />`}
  <//>`;
}

function conditions({ actor, action, subject, id, from, until }) {
  return {
    actor: actor && (actor.includes("@") ? { email: actor.trim().toLowerCase() } : { id: actor.trim() }),
    action,
    subject: { type: subject, id },
    created_at_or_after: instant(from),
    created_at_before: instant(until),
  };
}

function word(kind, name) {
  const key = `audit.${kind}_${name}`;
  return hasText(key) ? t(key) : String(name ?? "");
}

function actorOf(actor) {
  if (actor.email) return actor.email;
  const kind = word("actor", actor.type);
  return [kind, actor.name ?? actor.id].filter((part) => part !== undefined && part !== null).join(" ");
}

// Where the subjects of this kind have a page.
const PLACES = { contact: "contacts", callout: "alerts", call_flow: "flows", phone_call: "calls" };

function Subject({ subject }) {
  const name = [word("subject", subject.type), subject.id].filter((part) => part !== null && part !== undefined).join(" ");
  const place = PLACES[subject.type];
  return place && subject.id ? html`<a href=${href(place, subject.id)}>${name}</a>` : html`<bdi>${name}</bdi>`;
}

/** Each field with what it was and what it is. */
function Changes({ changes }) {
  const names = Object.keys(changes ?? {});
  if (!names.length) return null;
  return html`<details>
    <summary>${t("audit.changed", { count: names.length, names: names.slice(0, 3).join(", ") })}</summary>
    <dl class="changes">
      ${names.map((name) => html`<div key=${name}><dt><bdi>${name}</bdi></dt><dd><${Change} value=${changes[name]} /></dd></div>`)}
    </dl>
  </details>`;
}

/** [before, after], or a value that only is. */
function Change({ value }) {
  const [before, after] = Array.isArray(value) && value.length === 2 ? value : [undefined, value];
  if (before === undefined) return html`<ins><bdi>${written(after)}</bdi></ins>`;
  return html`<del><bdi>${written(before) || t("audit.nothing")}</bdi></del> → <ins><bdi>${written(after) || t("audit.nothing")}</bdi></ins>`;
}

function Search({ query }) {
  const { wanted, change, search, clear } = useSearch(query);
  const choices = (kind, names) => [["", t("calls.any")], ...names.map((name) => [name, word(kind, name)])];
  const zone = t("calls.zone", { zone: zoneName() });
  return html`<${SearchForm} search=${search} clear=${clear}>
    <${Field} label=${t("audit.who")} value=${wanted.actor ?? ""} onInput=${change("actor")} hint=${t("audit.who_hint")} />
    <${Select} label=${t("audit.action")} value=${wanted.action ?? ""} options=${choices("action", ACTIONS)} onInput=${change("action")} />
    <${Select} label=${t("audit.subject")} value=${wanted.subject ?? ""} options=${choices("subject", SUBJECTS)} onInput=${change("subject")} />
    <${Field} label=${t("audit.subject_id")} inputmode="numeric" value=${wanted.id ?? ""} onInput=${change("id")} />
    <${Field} label=${t("calls.from")} type="datetime-local" value=${wanted.from ?? ""} onInput=${change("from")} hint=${zone} />
    <${Field} label=${t("calls.until")} type="datetime-local" value=${wanted.until ?? ""} onInput=${change("until")} hint=${zone} />
  <//>`;
}
