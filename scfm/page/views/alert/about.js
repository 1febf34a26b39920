// What an alert is: whom it calls, what they hear, when, and how often. Who approves it looks here.

import { html } from "../../lib/ui.js";
import { href } from "../../lib/router.js";
import { duration, hasText, t, time } from "../../lib/text.js";
import { MESSAGE_FLOW } from "../new-alert/form.js";
import { conditionsOf, labelOf } from "../parts/paths.js";
import { VALID_NUMBERS } from "./call_again.js";
import { zoneOf } from "./sentence.js";

export function About({ alert }) {
  const { callout } = alert;
  const pairs = [...message(callout), ...plan(callout), ...approval(callout), ...times(alert)].filter(([, value]) => value);
  return html`<dl class="pairs">${pairs.map(([name, value]) => html`<div key=${name}><dt>${t(`alert.about_${name}`)}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function message({ call_flow_logic: flow, metadata }) {
  return [
    ["message", byLanguage(metadata.message)],
    ["audio", byLanguage(metadata.audio)],
    ["flow", flow !== MESSAGE_FLOW && flow],
    ["follow_up_of", metadata.follow_up_of && html`<a href=${href(metadata.drill === true ? "drills" : "alerts", metadata.follow_up_of)}>${metadata.follow_up_of}</a>`],
  ];
}

/** A text, or one for each language. */
function byLanguage(value) {
  if (typeof value !== "object" || value === null) return value;
  return html`<ul>${Object.entries(value).map(([language, text]) => html`<li key=${language} lang=${language}><b>${language}</b> ${String(text)}</li>`)}</ul>`;
}

function plan(callout) {
  if (!callout.plan) return [["plan", t("alert.without_plan")]];
  const { audience, retry, window, starts_at: startsAt, not_after: notAfter, priority, emergency } = callout.plan;
  const zone = zoneOf(callout);
  return [
    ["audience", audienceText(audience)],
    ["retry", t("alert.retries", { count: retry.max_attempts, delays: retry.delays.map(duration).join(", ") })],
    ["window", window && t("alert.window_hours", { from: window.from, to: window.to, zone: window.time_zone })],
    ["starts_at", time(startsAt, { zone })],
    ["not_after", time(notAfter, { zone })],
    ["priority", priority !== 5 && String(priority)],
    ["emergency", emergency && `${t(`alert.severity_${emergency.severity}`)}: ${emergency.reason}`],
  ];
}

function audienceText({ contact_filter_params: filters, follow_up: followed }) {
  if (followed) return t("alert.audience_followed", { id: followed.callout_id, filters: written(followed.q ?? {}) });
  return filters && Object.keys(filters).length ? written(filters) : t("alert.everybody");
}

/** Filters as people say them: "district: Kratie, outcome: Not reached". */
function written({ metadata, outcome, outcome_reason: reasons, contact_id: contacts, ...others }) {
  const said = conditionsOf(metadata).map(({ path, value }) => `${labelOf(path)}: ${value ?? t("alert.nothing")}`);
  if (outcome) said.push(words("outcome", outcome));
  if (reasons === VALID_NUMBERS) said.push(t("alert.valid_numbers"));
  else if (reasons) said.push(words("reason", reasons));
  if (contacts) said.push(t("alert.people_found", { count: String(contacts).split(",").length }));
  for (const [name, value] of Object.entries(others)) said.push(`${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return said.join(", ");
}

/** The texts of a section for words with commas between them. */
const words = (section, list) =>
  String(list)
    .split(",")
    .map((word) => (hasText(`${section}.${word.trim()}`) ? t(`${section}.${word.trim()}`) : word))
    .join(" / ");

function approval(callout) {
  const { approval: asked } = callout;
  if (!asked) return [];
  const zone = zoneOf(callout);
  const by = (who, at) => who && t("alert.by_at", { who, time: time(at, { zone }) });
  return [
    ["submitted", by(asked.submitted_by, asked.submitted_at)],
    [asked.status === "rejected" ? "rejected" : "approved", by(asked.decided_by, asked.decided_at)],
  ];
}

function times({ callout, statistics }) {
  const zone = zoneOf(callout);
  return [
    ["created", time(callout.created_at, { zone })],
    ["started", time(statistics?.started_at, { zone })],
    ["first_call", time(statistics?.first_attempt_at, { zone })],
    ["last_call", time(statistics?.last_attempt_at, { zone })],
    ["completed", time(statistics?.completed_at, { zone })],
  ];
}
