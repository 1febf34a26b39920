// What may be done with an alert: started, paused, resumed, stopped, approved; and all calls held. The server decides;
// shown is what it would not refuse to this role in this status.

import { Button, html, useState } from "../../lib/ui.js";
import { may } from "../../lib/session.js";
import { href } from "../../lib/router.js";
import { t } from "../../lib/text.js";
import { isDrill } from "../alerts.js";
import { callsInTheAir } from "./outcomes.js";
import { statusOf } from "./phase.js";
import { CONFIRMATIONS } from "./confirmations.js";

// The role that each action needs.
const APPROVER = ["approve", "reject"];
// Those that are asked about with what the plan would come to.
const FORETOLD = ["start", "submit", "approve"];
const STRONG = ["start", "submit", "approve", "resume"];

/** The names of the actions that ALERT can take now, for who is signed in. */
export function actionsOf(alert) {
  return possible(alert).filter((action) => may(APPROVER.includes(action) ? "approver" : "operator"));
}

function possible(alert) {
  const { callout, statistics, account } = alert;
  switch (statusOf(alert)) {
    case "initialized":
      return [...beforeStart(callout, account), ...(statistics && underWay(statistics) > 0 ? ["stop"] : [])];
    case "running":
      return ["pause", "stop"];
    case "paused":
      return ["resume", "stop"];
    case "stopped":
      return ["resume"];
    default:
      return [];
  }
}

function beforeStart({ plan, approval }, account) {
  if (!plan || !account.settings?.approval_required) return ["start"];
  return approval?.status === "submitted" ? ["approve", "reject", "withdraw"] : ["submit"];
}

const underWay = (statistics) => statistics.calls.queued + callsInTheAir(statistics);

/** The buttons, and the second step of the one that was pressed. WATCHED is what data.js gives for the alert. */
export function Actions({ alert, watched }) {
  const [chosen, choose] = useState(null);
  const close = () => choose(null);
  const ask = (action) => {
    // The question names numbers, which have changed where contacts have.
    if (FORETOLD.includes(action)) watched.foresee();
    choose(action);
  };
  const Confirmation = chosen && CONFIRMATIONS[chosen];
  return html`
    ${isDraft(alert.callout) && may("operator") && html`<${Button} href=${href(isDrill(alert.callout) ? "drills" : "alerts", "new", { id: alert.callout.id })}>${t("new_alert.change")}<//>`}
    ${actionsOf(alert).map(
      (action) =>
        html`<${Button} key=${action} kind=${kindOf(action)} data-action=${action} onClick=${() => ask(action)}>${t(`alert.${action}`)}<//>`,
    )}
    ${Confirmation && html`<${Confirmation} key=${chosen} alert=${alert} watched=${watched} onClose=${close} />`}
  `;
}

/** Whether it may still be changed in the form in which alerts are made. */
const isDraft = ({ status, plan, approval }) => status === "initialized" && plan !== null && approval?.status !== "submitted";

function kindOf(action) {
  if (action === "stop" || action === "reject") return "danger";
  return STRONG.includes(action) ? "primary" : "";
}

/** Holding the calls of the whole account, and letting them go. */
export function Hold({ alert, watched }) {
  const [asked, ask] = useState(null);
  const held = alert.account.calls_held_at !== null;
  const provider = alert.statistics?.health.provider;
  if (!may("operator")) return null;
  return html`
    <${Button} kind=${held ? "primary" : "danger"} data-action=${held ? "release" : "hold"} onClick=${() => ask(held ? "release" : "hold")}>
      ${t(held ? "alert.release" : "alert.hold")}
    <//>
    ${provider === "held" && !held && html`<p class="hint">${t("alert.held_by_the_server")}</p>`}
    ${asked === "hold" && html`<${CONFIRMATIONS.hold} alert=${alert} watched=${watched} onClose=${() => ask(null)} />`}
    ${asked === "release" && html`<${CONFIRMATIONS.release} alert=${alert} watched=${watched} onClose=${() => ask(null)} />`}
  `;
}
