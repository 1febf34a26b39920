// The second step of each action: what it comes to, in numbers, and what happens to the calls in the air.

import { Checkbox, Confirm, html, useState } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { t } from "../../lib/text.js";
import { finding } from "../new-alert/findings.js";
import { foretold } from "../new-alert/forecast.js";
import { openPeople, totals } from "./outcomes.js";
import { zoneOf } from "./sentence.js";

/** Carry out an event of the callout, and show what the server says of it then, also if it refuses. */
async function calloutEvent({ alert, watched }, parameters) {
  try {
    const { body } = await api.post(`api/callouts/${alert.callout.id}/callout_events`, parameters);
    await watched.accept({ callout: body });
  } catch (error) {
    watched.reload();
    throw error;
  }
}

async function accountEvent({ watched }, parameters) {
  const { body } = await api.post("api/account/account_events", parameters);
  await watched.accept({ account: body });
}

/** A confirmation that has nothing to choose: LINES are its sentences for the alert. */
function plain(action, lines, { danger = false } = {}) {
  return function Confirmation({ alert, watched, onClose }) {
    return html`<${Confirm} title=${titleOf(action, alert)} label=${t(`alert.${action}`)} danger=${danger} onClose=${onClose}
      action=${() => calloutEvent({ alert, watched }, { event: action })}>
      ${lines(alert).filter(Boolean).map((line) => html`<p key=${line}>${line}</p>`)}
    <//>`;
  };
}

function titleOf(action, { callout }) {
  const noun = t(callout.metadata.drill === true ? "alert.the_drill" : "alert.the_alert", { id: callout.id });
  return t(`alert.${action}_title`, { alert: noun });
}

/** What a plan that has not begun comes to if it is started now, with what the server warns of. */
function forecast({ callout, preflight }) {
  if (!preflight) return [];
  const { audience, calls_at_most: calls, warnings, blockers } = preflight;
  return [
    t("alert.would_call", { count: audience, calls }),
    ...foretold(preflight, zoneOf(callout)),
    ...[...blockers, ...warnings].map(finding),
  ];
}

function peopleLeft({ statistics }) {
  return statistics ? totals(statistics.people).open : 0;
}

/** Whose phone rings or who talks: as many as the calls that go on or are hung up. */
const inTheAir = ({ statistics }) => (statistics ? openPeople(statistics).flying : 0);

const waiting = ({ statistics }) => (statistics ? openPeople(statistics).waiting : 0);

/** Whether calls that ring or talk are ended; said with their number. */
function HangUp({ alert, checked, onInput }) {
  const count = inTheAir(alert);
  return html`
    <p>${count > 0 ? t(checked ? "alert.calls_are_ended" : "alert.calls_go_on", { count }) : t("alert.no_calls_in_the_air")}</p>
    <${Checkbox} label=${t("alert.hang_up")} checked=${checked} onInput=${onInput} name="hang_up" />
  `;
}

function Stop({ alert, watched, onClose }) {
  const [hangUp, setHangUp] = useState(false);
  return html`<${Confirm} title=${titleOf("stop", alert)} label=${t("alert.stop_now")} onClose=${onClose}
    action=${() => calloutEvent({ alert, watched }, { event: "stop", hang_up: hangUp })}>
    <p>${t("alert.stop_what")}</p>
    <p>${t("alert.stop_people", { count: waiting(alert) })}</p>
    <${HangUp} alert=${alert} checked=${hangUp} onInput=${setHangUp} />
    <p>${t("alert.stop_resume")}</p>
  <//>`;
}

function HoldAll({ alert, watched, onClose }) {
  const [hangUp, setHangUp] = useState(false);
  return html`<${Confirm} title=${t("alert.hold_title")} label=${t("alert.hold")} onClose=${onClose}
    action=${() => accountEvent({ watched }, { event: "hold", hang_up: hangUp })}>
    <p>${t("alert.hold_what")}</p>
    <p>${t("alert.hold_people", { count: peopleLeft(alert) })}</p>
    <${HangUp} alert=${alert} checked=${hangUp} onInput=${setHangUp} />
  <//>`;
}

function Release({ alert, watched, onClose }) {
  return html`<${Confirm} title=${t("alert.release_title")} label=${t("alert.release")} danger=${false} onClose=${onClose}
    action=${() => accountEvent({ watched }, { event: "release" })}>
    <p>${t("alert.release_what")}</p>
    <p>${t("alert.hold_people", { count: peopleLeft(alert) })}</p>
  <//>`;
}

/** By action, the component of its second step: {alert, watched, onClose}. */
export const CONFIRMATIONS = {
  start: plain("start", (alert) => (alert.callout.plan ? forecast(alert) : [t("alert.start_without_plan")])),
  submit: plain("submit", (alert) => [t("alert.submit_what"), ...forecast(alert)]),
  withdraw: plain("withdraw", () => [t("alert.withdraw_what")]),
  approve: plain("approve", (alert) => forecast(alert)),
  reject: plain("reject", () => [t("alert.reject_what")], { danger: true }),
  pause: plain("pause", (alert) => [
    t("alert.pause_what"),
    t("alert.pause_people", { count: waiting(alert) }),
    inTheAir(alert) > 0 ? t("alert.calls_go_on", { count: inTheAir(alert) }) : t("alert.no_calls_in_the_air"),
  ]),
  resume: plain("resume", ({ callout, statistics }) => [
    t(callout.status === "stopped" ? "alert.resume_stopped" : "alert.resume_what"),
    statistics && callout.status === "paused" && t("alert.hold_people", { count: totals(statistics.people).open }),
  ]),
  stop: Stop,
  hold: HoldAll,
  release: Release,
};
