// Where an alert stands, as the page tells it: more than the status of its callout, which knows of no hold or window.

import { callsInTheAir, totals } from "./outcomes.js";

// By what keeps the callout from calling, as `limited_by` of its statistics has it.
const WAITS_FOR = {
  "window of the plan": "window",
  "starts_at of the plan": "scheduled",
  "retry of the plan": "retry",
};

export const OVER = ["stopped", "ending", "unclear", "completed"];
// No new call leaves.
export const STANDING = ["paused", "held", "failing", "refusing", ...OVER];

/** The status of the callout; the statistics know first that it is completed, and that never changes again. */
export function statusOf({ callout, statistics }) {
  return statistics?.completed_at ? "completed" : callout.status;
}

/** One of: no_plan, ready, submitted, rejected, starting, running, window, scheduled, retry, held, failing, refusing,
    paused, stopped, ending, unclear (over, but of some nothing is known), completed. */
export function phaseOf(alert) {
  const status = statusOf(alert);
  if (status === "initialized") return beforeStart(alert);
  if (status === "completed") return afterEnd(alert);
  if (status !== "running") return status;
  return whileRunning(alert);
}

/**
 * What lists, which are asked for now and then while figures change, must show without delay: another phase, and any
 * figure while no call goes on, as none may follow it. A text that changes when that does.
 */
export function turnOf(alert) {
  const { statistics } = alert;
  const still = statistics && callsInTheAir(statistics) + statistics.calls.queued === 0;
  return `${phaseOf(alert)} ${still ? JSON.stringify(statistics.people) : ""}`;
}

function beforeStart({ callout }) {
  const asked = callout.approval?.status;
  if (asked === "submitted" || asked === "rejected") return asked;
  return callout.plan ? "ready" : "no_plan";
}

function afterEnd({ statistics }) {
  if (!statistics) return "ending";
  const people = totals(statistics.people);
  if (people.open > 0) return "ending";
  return people.unknown > 0 ? "unclear" : "completed";
}

function whileRunning({ callout, statistics }) {
  const provider = statistics?.health.provider;
  if (!statistics) return "starting";
  if (totals(statistics.people).open > 0 && provider !== "ok") return provider;
  if (callout.plan && statistics.people.total === 0) return "starting";
  return WAITS_FOR[statistics.limited_by] ?? "running";
}
