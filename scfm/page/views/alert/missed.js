// The people of an alert one by one, those who were not reached first: with the reason, search, files, and a new alert.

import { Busy, Button, Form, html, Notice, Paging, Select, Table, useState } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { href } from "../../lib/router.js";
import { may } from "../../lib/session.js";
import { clock, number, t } from "../../lib/text.js";
import { CallAgain } from "./call_again.js";
import { turnOf } from "./phase.js";
import { namesOf } from "../parts/paths.js";
import { SearchFields } from "../parts/contact_search.js";
import { nameOf } from "../parts/metadata.js";
import { OUTCOMES } from "./outcomes.js";
import { findPeople, filtersOf, TooMany } from "./search.js";
import { useThrottled } from "./throttled.js";
import { zoneOf } from "./sentence.js";

const PER_PAGE = 25;
// A list that changes under the eyes cannot be read: it is asked for again so often, if its number has changed.
const SECONDS = 15;
// By outcome, whether a reason belongs to it.
const EXCLUDED_FOR = ["opted_out", "duplicate_number"];
const REASONS = {
  unreached: (reason) => !EXCLUDED_FOR.includes(reason),
  excluded: (reason) => EXCLUDED_FOR.includes(reason),
};

/** ALERT has statistics; PATH is the one by which its people are grouped, if any, of PATHS, those that contacts have. */
export function Missed({ alert, path, paths }) {
  const [choice, setChoice] = useState({ outcome: "unreached", reason: "", field: "", value: "", page: 1 });
  const { callout, statistics } = alert;
  const { found, element } = useThrottled(() => peopleOf(callout.id, choice, paths), {
    seconds: SECONDS,
    inputs: [callout.id, choice],
    trigger: statistics.people[choice.outcome],
    urgent: turnOf(alert),
    initial: { people: null, problem: null },
  });
  const { people, problem } = found;
  const choose = (changes) => setChoice({ ...choice, page: 1, ...changes });
  return html`<div ref=${element}>
    <div class="filters">
      <${Select} label=${t("alert.outcome")} name="outcome" value=${choice.outcome} onInput=${(outcome) => choose({ outcome, reason: "" })}
        options=${[...OUTCOMES].reverse().map((outcome) => [outcome, t(`outcome.${outcome}`)])} />
      <${Search} paths=${paths} onSearch=${choose} />
    </div>
    <${Reasons} reasons=${statistics.reasons} choice=${choice} choose=${choose} />
    <${Notice} error=${problem}>${problem instanceof TooMany && t("alert.too_many_found", { count: problem.count })}<//>
    ${people && isOf(people, choice)
      ? html`<${People} alert=${alert} people=${people} path=${path} choose=${choose} />`
      : !problem && html`<${Busy} />`}
  </div>`;
}

/** Whether these are the people of a choice, if on another page: others would be called again in their place. */
const isOf = ({ choice }, wanted) => ["outcome", "reason", "field", "value"].every((name) => choice[name] === wanted[name]);

/** Why people have the outcome that is chosen, with their number: each shows its own. */
function Reasons({ reasons, choice, choose }) {
  const found = Object.entries(reasons).filter(([reason]) => REASONS[choice.outcome]?.(reason));
  if (found.length === 0) return null;
  const button = (reason, name) => html`<${Button} key=${reason} data-reason=${reason} aria-pressed=${reason === choice.reason} onClick=${() => choose({ reason })}>${name}<//>`;
  return html`<div class="reasons" role="group" aria-label=${t("alert.reason")}>
    ${button("", t("alert.any_reason"))}
    ${found.map(([reason, count]) => button(reason, html`${t(`reason.${reason}`)} <span class="count">${number(count)}</span>`))}
  </div>`;
}

function Search({ paths, onSearch }) {
  const [search, setSearch] = useState({ field: "", value: "" });
  return html`<${Form} role="search" class="find" onSubmit=${() => onSearch({ ...search, value: search.value.trim() })}>
    <${SearchFields} search=${search} fields=${paths} label=${t("alert.search")} list="people-values" onChange=${(part) => setSearch({ ...search, ...part })} />
    <${Button} type="submit">${t("alert.search_button")}<//>
  <//>`;
}

function People({ alert, people, path, choose }) {
  const { callout } = alert;
  const { rows, total, at, q, choice } = people;
  return html`
    <p class="list-head"><span>${t("alert.people_found", { count: total })}</span> <span class="hint">${t("alert.as_of", { time: clock(at, { zone: zoneOf(callout), seconds: true }) })}</span></p>
    <${Table} caption=${t("alert.people_one_by_one")} columns=${columns(callout, path, choice.outcome)} rows=${rows} empty=${t("alert.nobody_here")} />
    <${Paging} page=${choice.page} perPage=${PER_PAGE} total=${total} onPage=${(page) => choose({ page })} />
    <div class="actions">
      ${total > 0 && html`<${Files} callout=${callout} q=${q} />`}
      ${total > 0 && may("operator") && html`<${CallAgain} alert=${alert} people=${people} />`}
    </div>
  `;
}

function columns(callout, path, outcome) {
  const zone = zoneOf(callout);
  const when = (iso) => iso && html`<time datetime=${iso}>${clock(iso, { zone })}</time>`;
  const place = path?.replace(/^metadata\./, "");
  return [
    { key: "msisdn", label: t("alert.number"), cell: ({ contact_id: id, msisdn }) => (id === null ? t("alert.erased") : html`<a href=${href("contacts", id)}>${msisdn}</a>`) },
    { key: "name", label: t("alert.name"), cell: ({ contact }) => nameOf(contact?.metadata) },
    place && place !== "name" && { key: "place", label: place, cell: ({ contact }) => text(valueAt(contact?.metadata, path)) },
    outcome in REASONS && {
      key: "outcome_reason",
      label: t("alert.reason"),
      cell: ({ outcome_reason: reason }) => reason && t(`reason.${reason}`),
    },
    { key: "attempts", label: t("alert.attempts"), numeric: true },
    { key: "last_attempt_at", label: t("alert.last_attempt"), cell: (person) => when(person.last_attempt_at) },
    ["waiting", "pending"].includes(outcome) && {
      key: "next_attempt_at",
      label: t("alert.next_attempt"),
      cell: (person) => when(person.next_attempt_at),
    },
  ].filter(Boolean);
}

/** What a contact has at a path. */
const valueAt = (metadata, path) => namesOf(path).reduce((at, name) => at?.[name], metadata);

function text(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function Files({ callout, q }) {
  const file = (format, more) => api.href(`api/callouts/${callout.id}/results`, { q, format, ...more });
  return html`
    <a class="button" download href=${file("csv", { bom: true })}>CSV</a>
    <a class="button" download href=${file("xlsx")}>XLSX</a>
  `;
}

/** Null where the server could not be asked: what is shown stays. */
async function peopleOf(calloutId, choice, paths) {
  try {
    const q = await filtersOf(calloutId, choice, paths);
    return { people: { ...(await findPeople(calloutId, q, choice.page, PER_PAGE)), q, choice }, problem: null };
  } catch (problem) {
    if (problem instanceof TooMany || (problem.status >= 400 && problem.status < 500)) return { people: null, problem };
    if (problem.status !== undefined) return null;
    throw problem;
  }
}
