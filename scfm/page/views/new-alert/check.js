// What the draft would come to, as the server's preflight says: people, times, limits, and what stands against it.

import { html, Section, Notice } from "../../lib/ui.js";
import { number, t, time } from "../../lib/text.js";
import { limitName } from "../parts/limit_name.js";
import { finding } from "./findings.js";
import { unplaced } from "./problems.js";

/** `draft` is what useDraft gives; `children` are the buttons. */
export function Check({ draft, form, children }) {
  const { preflight, status } = draft;
  const error = unplaced(draft.error);
  return html`<${Section} title=${t("new_alert.check")} class="check-panel">
    <p class="hint">${t(`new_alert.status_${status}`)}</p>
    <${Notice} error=${error} />
    ${preflight && html`<${Figures} preflight=${preflight} form=${form} />`}
    ${preflight && html`<${Findings} kind="blockers" sentences=${preflight.blockers} />`}
    ${preflight && html`<${Findings} kind="warnings" sentences=${preflight.warnings} />`}
    ${children}
  <//>`;
}

function Figures({ preflight, form }) {
  const { excluded } = preflight;
  const zone = form.window?.time_zone;
  const facts = [
    [t("new_alert.called"), number(preflight.audience)],
    excluded.opted_out > 0 && [t("new_alert.opted_out"), number(excluded.opted_out)],
    excluded.duplicate_number > 0 && [t("new_alert.duplicates"), number(excluded.duplicate_number)],
    [t("new_alert.calls_at_most"), number(preflight.calls_at_most)],
    [t("new_alert.pace"), t("new_alert.pace_by", { pace: number(preflight.calls_per_second, { maximumSignificantDigits: 3 }), limit: limitName(preflight.limited_by) })],
    preflight.first_attempt_at && [t("new_alert.first_call"), time(preflight.first_attempt_at, { zone })],
    preflight.last_first_attempt_at && [t("new_alert.last_first_call"), time(preflight.last_first_attempt_at, { zone })],
    preflight.ends_at && [t("new_alert.ends"), time(preflight.ends_at, { zone })],
  ].filter(Boolean);
  return html`<dl class="figures">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** The `kind`, blockers or warnings, in the reader's language. */
export function Findings({ kind, sentences }) {
  if (sentences.length === 0) return null;
  return html`<div class=${`notice ${kind === "blockers" ? "error" : "warning"}`}>
    <h3>${t(`new_alert.${kind}`, { count: sentences.length })}</h3>
    <ul>${sentences.map((sentence) => html`<li key=${sentence}>${finding(sentence)}</li>`)}</ul>
  </div>`;
}
