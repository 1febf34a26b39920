// The sentence on top of an alert's page: "8,412 of 12,000 reached · 2,950 being tried · … · done about 02:40".

import { t, time } from "../../lib/text.js";
import { openPeople, totals } from "./outcomes.js";
import { OVER, phaseOf, STANDING } from "./phase.js";

const BEFORE = ["no_plan", "ready", "submitted", "rejected"];
// When it may end is told only while it calls, or waits for a time that is known.
const FORESEEN = ["starting", "running", "window", "scheduled", "retry"];

/** The time zone of an alert: that of its window; undefined, which is this device's, without one. */
export const zoneOf = (callout) => callout.plan?.window?.time_zone;

/** ALERT is what data.js knows of it, with a callout. */
export function sentence(alert) {
  const phase = phaseOf(alert);
  const parts = [lead(phase, alert)];
  if (BEFORE.includes(phase)) parts.push(...toBeCalled(alert));
  else if (alert.statistics) parts.push(...figures(phase, alert), end(phase, alert));
  return parts.filter(Boolean).join(" · ");
}

function lead(phase, { callout, next }) {
  if (phase === "running") return "";
  const begins = phase === "scheduled" ? callout.plan.starts_at : next;
  if (["scheduled", "window", "retry"].includes(phase) && begins) {
    return t(`alert.phase_${phase}_until`, { time: time(begins, { zone: zoneOf(callout) }) });
  }
  return t(`alert.phase_${phase}`);
}

function toBeCalled({ callout, preflight, statistics }) {
  if (callout.plan) {
    if (!preflight) return [];
    const endsAt = time(preflight.ends_at, { zone: zoneOf(callout) });
    return [t("alert.to_be_called", { count: preflight.audience }), endsAt && t("alert.done_about_if_started", { time: endsAt })];
  }
  return statistics ? [t("alert.people_in_it", { count: statistics.people.total })] : [];
}

function figures(phase, { callout, statistics }) {
  const { people } = statistics;
  const { total, reached, open, unknown, unreached, excluded } = totals(people);
  if (phase === "starting" && total === 0) return [];
  const over = OVER.includes(phase);
  return [
    t("alert.reached_of", { count: reached, total }),
    callout.plan?.acknowledge && reached > 0 && t("alert.acknowledged", { count: people.acknowledged }),
    ...(STANDING.includes(phase) ? standing(statistics) : [counted("alert.being_tried", open)]),
    counted("alert.unknown", unknown),
    counted(over ? "alert.not_reached" : "alert.will_not_be_reached", unreached),
    counted("alert.left_out", excluded),
  ];
}

/** Who is open while no new call leaves: whose call goes on, and who waits. */
function standing(statistics) {
  const { flying, waiting } = openPeople(statistics);
  return [counted("alert.calls_going_on", flying), counted("alert.wait", waiting)];
}

function counted(key, count) {
  return count > 0 && t(key, { count });
}

function end(phase, { callout, statistics }) {
  const zone = zoneOf(callout);
  const { expected_end_at: expected, completed_at: completed } = statistics;
  if (FORESEEN.includes(phase)) return expected && t("alert.done_about", { time: time(expected, { zone }) });
  return completed && phase !== "ending" && t("alert.ended", { time: time(completed, { zone }) });
}
