// A new alert for those who are listed: a follow-up of this one, with a name of its own. It is started on its own page.

import { Button, Checkbox, Confirm, Field, html, useState } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { go } from "../../lib/router.js";
import { t } from "../../lib/text.js";
import { titleOf } from "../alerts.js";

const INVALID = "invalid_number";
// Why people were not reached, but for a number that is none: the list of the API, as their reasons may still come.
const AGAIN = ["busy", "not_answered", "failed", "errored", "forbidden", "machine", "not_acknowledged", "canceled", "too_late", "stopped"];
/** The filter of reasons that leaves out those whose number is none. */
export const VALID_NUMBERS = AGAIN.join();

/**
 * Whom a choice of the list, {outcome, reason, value}, would call again, by the figures of the alert: {count, invalid}.
 * `invalid` are those beside `count` whose number is none; they are told apart where all the unreached are listed. `total`
 * is the length of the list, which counts where somebody is searched for.
 */
export function whomOf({ outcome, reason, value }, { people, reasons }, total) {
  if (value) return { count: total, invalid: 0 };
  if (reason) return { count: reasons[reason] ?? 0, invalid: 0 };
  const invalid = outcome === "unreached" ? (reasons[INVALID] ?? 0) : 0;
  return { count: people[outcome] - invalid, invalid };
}

/** The name of what calls the people of an alert NAME again: "Flood, again", and then "Flood, again (2)". */
export function nameAgain(name) {
  const ending = t("alert.again_name", { name: "" });
  const [, first, times] = /^(.*?)(?: \((\d+)\))?$/s.exec(name);
  if (!first.endsWith(ending)) return t("alert.again_name", { name });
  return `${first} (${Number(times ?? 1) + 1})`;
}

/** PEOPLE are those that are listed, as {q, choice, total}. */
export function CallAgain({ alert, people }) {
  const [asked, ask] = useState(false);
  const { count, invalid } = whomOf(people.choice, alert.statistics, people.total);
  if (!alert.callout.plan) return html`<p class="hint">${t("alert.no_plan_to_follow")}</p>`;
  if (count <= 0) return invalid > 0 && html`<p class="hint">${t("alert.again_invalid", { count: invalid })}</p>`;
  return html`
    <${Button} kind="primary" data-action="call-again" onClick=${() => ask(true)}>${t("alert.call_again", { count })}<//>
    ${asked && html`<${Ask} callout=${alert.callout} people=${people} count=${count} invalid=${invalid} onClose=${() => ask(false)} />`}
  `;
}

function Ask({ callout, people, count, invalid, onClose }) {
  const { q, choice } = people;
  const [name, setName] = useState(nameAgain(titleOf(callout)));
  const [all, setAll] = useState(false);
  const create = async () => {
    // What an alert is called is its title, else its name.
    const metadata = name.trim() ? { [callout.metadata.title === undefined ? "name" : "title"]: name.trim() } : {};
    const whom = invalid > 0 && !all ? { ...q, outcome_reason: VALID_NUMBERS } : q;
    const { body } = await api.post(`api/callouts/${callout.id}/follow_ups`, { q: whom, metadata });
    go(body.metadata.drill === true ? "drills" : "alerts", body.id);
  };
  return html`<${Confirm} title=${t("alert.call_again_title")} label=${t("alert.make_new_alert")} danger=${false} action=${create} onClose=${onClose}>
    <p>${t("alert.call_again_what", { count: all ? count + invalid : count })}</p>
    ${choice.outcome === "unknown" && html`<p class="notice warning">${t("alert.may_have_been_called")}</p>`}
    <${Field} label=${t("alert.again_name_label")} name="name" maxlength="200" value=${name} onInput=${setName} />
    ${invalid > 0 &&
    html`<p>${t("alert.again_invalid", { count: invalid })}</p>
      <${Checkbox} label=${t("alert.again_invalid_too")} name="invalid" checked=${all} onInput=${setAll} />`}
  <//>`;
}
