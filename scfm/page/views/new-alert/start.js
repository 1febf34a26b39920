// The last step: sent for approval, or started, after a question that names the numbers.

import * as api from "../../lib/api.js";
import { html, useState, Button, Confirm, Notice, useAction, useData } from "../../lib/ui.js";
import { go } from "../../lib/router.js";
import { session } from "../../lib/session.js";
import { t } from "../../lib/text.js";
import { Findings } from "./check.js";
import { forget } from "./draft.js";
import { foretold } from "./forecast.js";
import { unfinishedPath } from "./form.js";
import { labelOf } from "../parts/paths.js";

/** The buttons under the check: `draft` is what useDraft gives. */
export function Start({ draft, form }) {
  const [asked, setAsked] = useState(null);
  // The session tells what was so when it began.
  const { data: settings } = useData(async () => (await api.get("api/account")).body.settings);
  const event = (settings ?? session.account?.settings)?.approval_required ? "submit" : "start";
  // What is asked about is what is stored, looked at once more.
  const [ask, { busy, error }] = useAction(async () => {
    const stored = await draft.saved();
    if (stored.preflight.blockers.length === 0) setAsked(stored);
  });
  const unfinished = unfinishedPath(form);
  const ready = draft.preflight !== null && draft.preflight.blockers.length === 0 && draft.error === null && unfinished === undefined;
  const word = form.drill ? "drill" : "alert";
  return html`
    ${error && draft.error === null && html`<${Notice} error=${error} />`}
    ${unfinished !== undefined && html`<p class="notice error">${t("new_alert.unfinished", { field: labelOf(unfinished) })}</p>`}
    <div class="actions">
      <${Button} kind="primary" busy=${busy} disabled=${!ready} onClick=${ask}>${t(`new_alert.${event}_${word}`)}<//>
    </div>
    ${asked && html`<${Ask} asked=${asked} event=${event} form=${form} onClose=${() => setAsked(null)} />`}
  `;
}

function Ask({ asked, event, form, onClose }) {
  const { id, preflight } = asked;
  const word = form.drill ? "drill" : "alert";
  const begin = async () => {
    await api.post(`api/callouts/${id}/callout_events`, { event });
    forget(id, form.drill);
    go(form.drill ? "drills" : "alerts", id);
  };
  const people = { count: preflight.audience };
  return html`<${Confirm} title=${t(`new_alert.ask_${event}_${word}`, people)} label=${t(`new_alert.confirm_${event}`, people)} action=${begin} onClose=${onClose} danger=${!form.drill && event === "start"}>
    <p>${t("new_alert.ask_calls", { count: preflight.calls_at_most })}</p>
    ${event === "start" ? foretold(preflight, form.window?.time_zone).map((line) => html`<p key=${line}>${line}</p>`) : html`<p>${t("alert.submit_what")}</p>`}
    ${form.emergency && html`<p class="notice warning">${t("new_alert.emergency_hint")}</p>`}
    ${form.drill && html`<p class="notice warning">${t("new_alert.drill_hint")}</p>`}
    <${Findings} kind="warnings" sentences=${preflight.warnings} />
  <//>`;
}
