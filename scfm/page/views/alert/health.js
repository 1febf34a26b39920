// Whether what an alert needs is well: the provider, its webhooks, the server's database; when each was last heard.

import { html, useNow } from "../../lib/ui.js";
import { t } from "../../lib/text.js";
import { connection } from "./data.js";
import { callsInTheAir } from "./outcomes.js";

// While calls are in the air nothing may be silent for so long: a call rings for half a minute, and is told at both ends.
const MAX_SILENCE_SECONDS = 90;
// The figures of a callout with calls in the air change all the time, or the callout is asked for.
const MAX_DATABASE_SILENCE_SECONDS = 20;
const LOST = ["lost", "failing"];

/** ALERT is what data.js knows of it, with statistics. */
export function Health({ alert }) {
  const now = useNow() + alert.skew;
  const { provider_last_at: providerAt, webhook_last_at: webhookAt } = alert.statistics.health;
  const heardAt = alert.heardAt === null ? null : new Date(alert.heardAt + alert.skew).toISOString();
  const states = statesOf(alert, heardAt, now);
  return html`<dl class="health">
    <${Part} name="provider" state=${states.provider} at=${providerAt} now=${now} />
    <${Part} name="webhooks" state=${states.webhooks} at=${webhookAt} now=${now} />
    <${Part} name="database" state=${states.database} at=${heardAt} now=${now} />
  </dl>`;
}

/** ok, failing, refusing, held, silent or lost, by part. HEARDAT is when the database was, NOW by the server's clock. */
export function statesOf({ statistics, ...alert }, heardAt, now) {
  const connected = connection(alert);
  const { health, calls, first_attempt_at: firstAt } = statistics;
  const flying = callsInTheAir(statistics) > 0;
  const silent = (iso, seconds = MAX_SILENCE_SECONDS) => iso !== null && now - Date.parse(iso) > 1000 * seconds;
  return {
    provider: health.provider === "ok" && calls.queued > 0 && flying && silent(health.provider_last_at) ? "silent" : health.provider,
    // Those that never came are missed since the first call.
    webhooks: flying && silent(health.webhook_last_at ?? firstAt) ? "silent" : "ok",
    database: LOST.includes(connected) ? connected : flying && silent(heardAt, MAX_DATABASE_SILENCE_SECONDS) ? "silent" : "ok",
  };
}

const BAD = ["failing", "refusing", "silent", "lost"];

function Part({ name, state, at, now }) {
  const kind = BAD.includes(state) ? "bad" : state === "ok" ? "good" : "fair";
  return html`<div class=${`health-${kind}`} data-part=${name} data-state=${state}>
    <dt>${t(`alert.health_${name}`)}</dt>
    <dd><span class="health-state">${t(`alert.health_is_${state}`)}</span>
      <span class="health-last">${at ? lastEvent((now - Date.parse(at)) / 1000) : t("alert.no_event_yet")}</span></dd>
  </div>`;
}

function lastEvent(seconds) {
  if (seconds < 100) return t("alert.seconds_since", { count: Math.max(0, Math.round(seconds)) });
  return seconds < 6000 ? t("alert.minutes_since", { count: Math.round(seconds / 60) }) : t("alert.hours_since", { count: Math.round(seconds / 3600) });
}
