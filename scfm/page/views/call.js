// One phone call: what became of it and why, and what the provider reported.

import { html, useAction, useData, useState, Busy, Button, Confirm, Notice, Page, Section, Status } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { may } from "../lib/session.js";
import { duration, hasText, t, time } from "../lib/text.js";
import { causeOf, whyOf } from "./call/why.js";
import { Caller } from "./calls.js";
import { Facts, Metadata, flattened } from "./parts/metadata.js";
import { usePoll } from "./parts/poll.js";
import { AlertLink, Answers, EventList, Outcome } from "./person/history.js";
import "./parts/style.js";

const FINAL = ["errored", "failed", "busy", "not_answered", "canceled", "completed"];
const AT_PROVIDER = ["remotely_queued", "in_progress"];
const MAX_EVENTS = 100;

export default function Call({ params }) {
  const path = `api/phone_calls/${params.id}`;
  const { data, error, reload } = useData(async () => {
    const [call, events] = await Promise.all([
      api.get(path),
      api.newest(`${path}/remote_phone_call_events`, {}, 1, MAX_EVENTS),
    ]);
    return { call: call.body, events };
  }, [params.id]);
  const going = data !== null && !FINAL.includes(data.call.status);
  usePoll(going, reload);
  const title = t("calls.call_number", { id: params.id });
  if (!data) return html`<${Page} title=${title}>${error ? html`<${Notice} error=${error} />` : html`<${Busy} />`}<//>`;
  return html`<${Page} title=${title} actions=${html`<${Actions} call=${data.call} path=${path} reload=${reload} />`}>
    <${Notice} error=${error} />
    <${What} call=${data.call} />
    <${InAlert} call=${data.call} />
    <${Section} title=${t("call.events")}>
      ${data.events.total > MAX_EVENTS && html`<p>${t("call.more_events", { count: MAX_EVENTS, total: data.events.total })}</p>`}
      <${EventList} events=${data.events.rows} />
    <//>
    <${Technical} call=${data.call} />
  <//>`;
}

function Actions({ call, path, reload }) {
  const [asked, setAsked] = useState(false);
  const fire = async (event) => {
    await api.post(`${path}/phone_call_events`, { event });
    await reload();
  };
  const [run, { busy, error }] = useAction(fire);
  if (!may("operator") || FINAL.includes(call.status)) return null;
  return html`<${Notice} error=${error} />
    ${call.status === "created" && html`<${Button} kind="primary" busy=${busy} onClick=${() => run("queue")}>${t("call.queue")}<//>`}
    ${AT_PROVIDER.includes(call.status) && html`<${Button} busy=${busy} onClick=${() => run("queue_remote_fetch")}>${t("call.fetch")}<//>`}
    <${Button} kind="danger" onClick=${() => setAsked(true)}>${t("call.cancel")}<//>
    ${asked &&
    html`<${Confirm} title=${t("call.cancel_title")} label=${t("call.cancel")} action=${() => fire("cancel")} onClose=${() => setAsked(false)}>
      <p>${t(call.status === "created" || call.status === "queued" ? "call.cancel_waiting" : "call.cancel_under_way")}</p>
    <//>`}`;
}

function What({ call }) {
  const why = whyOf(call);
  const remedy = `call.do_${causeOf(call)}`;
  const answeredBy = call.answered_by && (call.answered_by.startsWith("machine") ? t("call.machine") : call.answered_by);
  return html`<${Section} title=${t("call.what_happened")}>
    <p role="status"><${Status} status=${call.status} /> <bdi>${why}</bdi></p>
    ${hasText(remedy) && html`<p>${t(remedy)}</p>`}
    ${FINAL.includes(call.status) && call.status !== "completed" && html`<p class="hint">${t("call.not_again")}</p>`}
    <${Facts}
      facts=${[
        [t("contacts.number"), html`<${Caller} call=${call} />`],
        [t("calls.time"), time(call.created_at, { seconds: true })],
        [t("call.sent"), time(call.remotely_queued_at, { seconds: true })],
        [t("calls.duration"), duration(call.duration)],
        [t("call.answered_by"), answeredBy],
        [t("call.code"), call.error_code],
        [t("call.message"), call.remote_error_message],
        [t("call.flow"), call.call_flow_logic],
      ]}
    />
    ${flattened(call.metadata).length > 0 && html`<${Metadata} metadata=${call.metadata} />`}
  <//>`;
}

/** The alert that the call belongs to, and what became of the person there. */
function InAlert({ call }) {
  const id = call.callout_participation_id;
  const { data } = useData(async () => {
    if (!id) return null;
    const participation = (await api.get(`api/callout_participations/${id}`)).body;
    const callout = (await api.get(`api/callouts/${participation.callout_id}`)).body;
    return { participation, callout };
  }, [id, call.status]);
  if (!data) return null;
  const { participation, callout } = data;
  return html`<${Section} title=${t("person.alert")}>
    <${Facts}
      facts=${[
        [t("person.alert"), html`<${AlertLink} id=${callout.id} callout=${callout} />`],
        [t("person.outcome"), html`<${Outcome} participation=${participation} />`],
        [t("person.attempts"), String(participation.attempts)],
        [t("call.next_attempt"), time(participation.next_attempt_at)],
      ]}
    />
    <${Answers} answers=${participation.answers} />
  <//>`;
}

function Technical({ call }) {
  const facts = { id: call.remote_call_id, status: call.remote_status, direction: call.remote_direction };
  const asked = flattened({ request: call.remote_request_params, answer: call.remote_queue_response, fetched: call.remote_response });
  return html`<${Section} title=${t("call.technical")}>
    <details>
      <summary>${t("call.what_was_sent")}</summary>
      <${Facts} facts=${[...Object.entries(facts), ...asked]} />
    </details>
  <//>`;
}
