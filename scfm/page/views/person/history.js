// What has happened with a person: the alerts, the calls, and what the provider reported.

import { html, useData, useState, Busy, Notice, Paging, Section, Status, Table } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { href } from "../../lib/router.js";
import { clock, duration, hasText, t } from "../../lib/text.js";
import { addressOf, isDrill, titleOf } from "../alerts.js";
import { whyOf } from "../call/why.js";
import { flattened } from "../parts/metadata.js";

const PER_PAGE = 25;

/** A list of the API, the newest first, page by page. `children` makes what is shown of {rows}. */
function History({ title, path, children }) {
  const [page, setPage] = useState(1);
  const { data, error } = useData(() => api.newest(path, {}, page, PER_PAGE), [path, page]);
  return html`<${Section} title=${title}>
    <${Notice} error=${error} />
    ${data ? children(data.rows) : !error && html`<${Busy} />`}
    ${data && html`<${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${setPage} />`}
  <//>`;
}

export function Alerts({ path }) {
  const { data } = useData(() => api.get(`${path}/callouts`, { per_page: 100 }), [path]);
  const callouts = new Map((data?.body ?? []).map((callout) => [callout.id, callout]));
  const columns = [
    { key: "callout_id", label: t("person.alert"), cell: (one) => html`<${AlertLink} id=${one.callout_id} callout=${callouts.get(one.callout_id)} />` },
    { key: "outcome", label: t("person.outcome"), cell: (one) => html`<${Outcome} participation=${one} />` },
    { key: "attempts", label: t("person.attempts"), numeric: true },
    { key: "last_attempt_at", label: t("person.last_attempt"), cell: (one) => clock(one.last_attempt_at) },
    { key: "answers", label: t("person.answers"), cell: (one) => html`<${Answers} answers=${one.answers} />` },
  ];
  return html`<${History} title=${t("person.alerts")} path=${`${path}/callout_participations`}>
    ${(rows) => html`<${Table} caption=${t("person.alerts")} columns=${columns} rows=${rows} empty=${t("person.no_alerts")} />`}
  <//>`;
}

/** The way to an alert or a drill. */
export function AlertLink({ id, callout }) {
  if (!callout) return html`<a href=${href("alerts", id)}>${t("alerts.untitled", { id: String(id) })}</a>`;
  return html`${isDrill(callout) && html`<span class="drill-word">${t("shell.drill")}</span> `}<a href=${addressOf(callout)}><bdi>${titleOf(callout)}</bdi></a>`;
}

/** What became of a person in an alert, and why. */
export function Outcome({ participation }) {
  const { outcome, outcome_reason: reason } = participation;
  const why = reason && (hasText(`reason.${reason}`) ? t(`reason.${reason}`) : reason);
  return html`<span class=${`status ${outcome}`}>${hasText(`outcome.${outcome}`) ? t(`outcome.${outcome}`) : outcome}</span> ${why}`;
}

/** What a person has answered. A recording can be listened to where the provider has it. */
export function Answers({ answers }) {
  const values = Object.entries(answers ?? {});
  return html`<ul class="plain-list">
    ${values.map(([name, value]) => html`<li key=${name}><bdi>${name}</bdi>: <${Answer} value=${value} /></li>`)}
  </ul>`;
}

function Answer({ value }) {
  if (value === null || typeof value !== "object") return html`<bdi>${String(value)}</bdi>`;
  const url = typeof value.recording_url === "string" && /^https?:\/\//i.test(value.recording_url) ? value.recording_url : null;
  if (url) return html`<a href=${url} target="_blank" rel="noopener noreferrer">${t("person.recording", { length: duration(value.seconds ?? 0) })}</a>`;
  return html`<bdi>${flattened(value).map(([name, text]) => `${name} ${text}`).join(", ")}</bdi>`;
}

export function Calls({ path }) {
  const columns = [
    { key: "created_at", label: t("calls.time"), cell: (call) => html`<a href=${href("calls", call.id)}>${clock(call.created_at)}</a>` },
    { key: "status", label: t("calls.status"), cell: (call) => html`<${Status} status=${call.status} />` },
    { key: "why", label: t("calls.why"), cell: (call) => whyOf(call) },
    { key: "duration", label: t("calls.duration"), cell: (call) => duration(call.duration) },
  ];
  return html`<${History} title=${t("person.calls")} path=${`${path}/phone_calls`}>
    ${(rows) => html`<${Table} caption=${t("person.calls")} columns=${columns} rows=${rows} empty=${t("person.no_calls")} />`}
  <//>`;
}

export function Events({ path }) {
  return html`<${History} title=${t("person.events")} path=${`${path}/remote_phone_call_events`}>
    ${(rows) => html`<${EventList} events=${rows} />`}
  <//>`;
}

/** What a provider has reported, each with its details. */
export function EventList({ events }) {
  if (!events.length) return html`<p class="empty">${t("call.no_events")}</p>`;
  return html`<ol class="events">
    ${events.map(
      (event) => html`<li key=${event.id}>
        <details>
          <summary>${clock(event.created_at, { seconds: true })} · <bdi>${summary(event.details)}</bdi></summary>
          <pre tabindex="0">${JSON.stringify(event.details, null, 2)}</pre>
        </details>
      </li>`,
    )}
  </ol>`;
}

// What a report says first: https://www.twilio.com/docs/voice/twiml#request-parameters
const TOLD = ["CallStatus", "Digits", "SpeechResult", "RecordingUrl", "AnsweredBy", "ErrorCode", "ErrorMessage"];

function summary(details) {
  return TOLD.filter((name) => details[name]).map((name) => `${name} ${details[name]}`).join(", ") || t("call.report");
}
