// A test call: a drill for one number, followed step by step.

import { html, useAction, useData, useEffect, useState, Button, Field, Form, Notice, Section, Status } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { href } from "../../lib/router.js";
import { clock, language, t } from "../../lib/text.js";
import { whyOf } from "../call/why.js";
import { useCallerNumber } from "../parts/caller_number.js";
import { usePoll } from "../parts/poll.js";
import { Outcome } from "../person/history.js";

const FLOW = "CallFlowLogic::Message";
// The voices of providers: none speaks Khmer.
const VOICES = { en: "en-US", fr: "fr-FR" };
const OVER = ["completed", "stopped"];

export function TestCall({ account }) {
  const [msisdn, setMsisdn] = useState("");
  const [from, setFrom] = useCallerNumber();
  const [message, setMessage] = useState(() => t("settings.test_message"));
  const [drill, setDrill] = useState(null);
  const [begin, { busy, error }] = useAction(async () => {
    setDrill(null);
    await haveContact(msisdn);
    const { body } = await api.post("api/callouts", calloutFor(msisdn, from, message));
    setDrill(body.id);
    await api.post(`api/callouts/${body.id}/callout_events`, { event: "start" });
  });
  const needsApproval = error?.status === 403 && drill !== null;
  return html`<${Section} title=${t("settings.test_title")}>
    <p>${t("settings.test_text")}</p>
    ${account.calls_held_at && html`<${Notice} kind="warning">${t("settings.test_held")}<//>`}
    <${Form} onSubmit=${begin}>
      <${Field} label=${t("settings.test_number")} name="msisdn" type="tel" value=${msisdn} onInput=${setMsisdn} error=${error} hint=${t("settings.test_number_hint")} required />
      <${Field} label=${t("settings.from")} name="from" type="tel" value=${from} onInput=${setFrom} hint=${t("settings.from_hint")} />
      <${Field} label=${t("settings.test_says")} name="message" multiline rows="2" value=${message} onInput=${setMessage} required />
      <${Notice} error=${needsApproval ? null : error} shown=${["msisdn"]} />
      ${needsApproval && html`<${Notice} kind="warning">${t("settings.test_needs_approval")} <a href=${href("drills", drill)}>${t("settings.to_drill")}</a><//>`}
      <div class="actions"><${Button} type="submit" kind="primary" busy=${busy}>${t("settings.test_begin")}<//></div>
    <//>
    ${drill !== null && !error && !busy && html`<${Progress} key=${drill} id=${drill} />`}
  <//>`;
}

/** An alert calls contacts: the number becomes one, unless it is. */
async function haveContact(msisdn) {
  const { body } = await api.get("api/contacts", { q: { msisdn }, per_page: 1 });
  if (!body.length) await api.post("api/contacts", { msisdn, metadata: { name: t("settings.test_person") } });
}

function calloutFor(msisdn, from, message) {
  const voice = VOICES[language()];
  return {
    call_flow_logic: FLOW,
    metadata: { drill: true, title: t("settings.test_title"), message: voice ? { [voice]: message } : message },
    plan: {
      audience: { contact_filter_params: { msisdn } },
      remote_request_params: from ? { from } : {},
      retry: { max_attempts: 1 },
    },
  };
}

/** What happens, as it happens: each status of the call when it was first seen, and the outcome. */
function Progress({ id }) {
  const [seen, setSeen] = useState([]);
  const { data, error, reload } = useData(async () => {
    const [callout, calls, people] = await Promise.all([
      api.get(`api/callouts/${id}`),
      api.get(`api/callouts/${id}/phone_calls`),
      api.get(`api/callouts/${id}/callout_participations`),
    ]);
    return { callout: callout.body, call: calls.body[0], person: people.body[0] };
  }, [id]);
  const over = data !== null && OVER.includes(data.callout.status);
  usePoll(!over, reload);
  const call = data?.call;
  useEffect(() => {
    if (call && seen.at(-1)?.status !== call.status) setSeen([...seen, { status: call.status, at: new Date().toISOString() }]);
  }, [call?.status]);
  return html`<div class="progress">
    <${Notice} error=${error} />
    <div role="log" aria-label=${t("settings.test_steps")}><ol>
      <li>${t("settings.test_begun")}</li>
      ${seen.map(({ status, at }) => html`<li key=${status + at}>${clock(at, { seconds: true })} <${Status} status=${status} /></li>`)}
      ${over && html`<li>${data.person ? html`<${Outcome} participation=${data.person} />` : t("settings.test_nobody")} ${call && html`<bdi>${whyOf(call)}</bdi>`}</li>`}
    </ol></div>
    <p>
      ${call && html`<a href=${href("calls", call.id)}>${t("audio.to_call")}</a> · `}
      <a href=${href("drills", id)}>${t("settings.to_drill")}</a>
    </p>
  </div>`;
}
