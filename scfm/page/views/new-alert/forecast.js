// When phones ring and when it is over, as the preflight of a plan says, if it is started now.

import { serverNow } from "../../lib/api.js";
import { t, time } from "../../lib/text.js";

// A first call within so many seconds is one at once.
const AT_ONCE_SECONDS = 60;
const HELD = /^the calls of the .* are held/;

/** Sentences; none of the first call where none leaves, which the warnings and blockers say. `zone` is the plan's. */
export function foretold({ first_attempt_at: first, ends_at: end, warnings, blockers }, zone) {
  const leaves = first && blockers.length === 0 && !warnings.some((warning) => HELD.test(warning));
  return [leaves && firstCall(first, zone), end && t("new_alert.ask_ends", { at: time(end, { zone }) })].filter(Boolean);
}

function firstCall(first, zone) {
  const soon = Date.parse(first) - serverNow() < 1000 * AT_ONCE_SECONDS;
  return soon ? t("new_alert.ask_now") : t("new_alert.ask_first", { at: time(first, { zone }) });
}
