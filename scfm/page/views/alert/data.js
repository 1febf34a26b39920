// What the page knows of one alert, kept up to date: its callout, its statistics, and whether the server is heard.

import * as api from "../../lib/api.js";
import { follow } from "../../lib/live.js";
import { callsInTheAir, totals } from "./outcomes.js";
import { phaseOf } from "./phase.js";

// The statistics come by the stream, and tell when the callout must be asked for. It is asked for so often all the same,
// in seconds: before it has begun, as nothing tells who edits or approves it; and after.
const WAITING_SECONDS = 20;
const BEGUN_SECONDS = 60;
// With calls in the air the figures change all the time: after so many seconds without, the server is asked.
const SILENCE_SECONDS = 5;
// A server that has not answered for so long is told to be out of reach.
const PATIENCE_SECONDS = 10;
// What a plan would come to changes with the contacts: it is worked out anew so often.
const FORECAST_SECONDS = 300;
// Many look at the same alert: not all of them ask at the same moment.
const MAX_DELAY_SECONDS = 0.5;

const UNKNOWN = {
  callout: null,
  statistics: null,
  // The account, and whether calls were held when it was asked for.
  account: null,
  accountHeld: false,
  // What the server says of the plan before it begins, and how fast it may call.
  preflight: null,
  // When the next person is called again, while nobody is called.
  next: null,
  // The phase for which these two were asked.
  besidesOf: null,
  // Why nothing can be shown: an ApiError.
  problem: null,
  // connecting, live, polling, lost or ended: see lib/live.js. A stream that is cut off within the network looks as if
  // it were live, and so does one of a server whose database does not answer: requests tell both.
  link: "connecting",
  reachable: true,
  database: "ok",
  // When the server last answered from its database, and when it last told the statistics, by this machine's clock.
  heardAt: null,
  figuresAt: null,
  // The server's clock less this machine's, in milliseconds.
  skew: 0,
};

/**
 * Watch the callout ID: onChange gets what is known whenever that changes. Gives {reload, foresee, accept, stop}: `foresee`
 * has the plan worked out anew; `accept` takes what the server has answered to an event of the callout, or of the account.
 */
export function watch(id, onChange) {
  const path = `api/callouts/${id}`;
  let alert = UNKNOWN;
  let stopped = false;
  let loading = null;
  let delayed = 0;
  let askedAt = 0;
  let forecastOf = {};
  let forecastAt = 0;

  function set(changes) {
    if (stopped) return;
    alert = { ...alert, ...changes };
    onChange(alert);
  }

  function load() {
    loading ??= ask().finally(() => (loading = null));
    return loading;
  }

  async function ask() {
    askedAt = Date.now();
    const late = setTimeout(() => set({ reachable: false }), 1000 * PATIENCE_SECONDS);
    try {
      const callout = await api.get(path);
      const account = accountOf(alert) ?? (await api.get("api/account")).body;
      const heard = { heardAt: Date.now(), skew: skewOf(callout.headers), database: "ok", reachable: true };
      set({ callout: callout.body, account, accountHeld: isHeld(alert), ...heard });
      await besides();
    } catch (error) {
      set(failed(error));
    } finally {
      clearTimeout(late);
    }
  }

  /** What is only asked for in some phases. */
  async function besides() {
    const phase = phaseOf(alert);
    const [preflight, next] = await Promise.all([forecast(phase), nextAttempt(phase)]);
    set({ preflight, next, besidesOf: phase });
  }

  /** The preflight of the plan: before it begins what it would come to, and later how fast it may call. */
  async function forecast(phase) {
    const { plan, status } = alert.callout;
    if (!plan || phase === "completed") return null;
    const { calls_per_second: rate, calls_in_flight: inFlight } = plan;
    const old = Date.now() - forecastAt > 1000 * FORECAST_SECONDS || JSON.stringify(plan) !== forecastOf.plan;
    const changed = [rate, inFlight].join() !== forecastOf.limits;
    if (alert.preflight && !(status === "initialized" ? old : changed)) return alert.preflight;
    const answer = await api.post(`${path}/preflight`, {});
    [forecastOf, forecastAt] = [{ plan: JSON.stringify(plan), limits: [rate, inFlight].join() }, Date.now()];
    return answer.body;
  }

  /** When somebody is called next, while all wait for it; of many who wait, the first ones are looked at. */
  async function nextAttempt(phase) {
    if (phase !== "window" && phase !== "retry") return null;
    if (alert.next && Date.parse(alert.next) > Date.now() + alert.skew) return alert.next;
    const outcome = phase === "window" ? "pending" : "waiting";
    const answer = await api.get(`${path}/callout_participations`, { q: { outcome }, per_page: 25 });
    const times = answer.body.map((person) => person.next_attempt_at).filter(Boolean);
    return times.sort()[0] ?? null;
  }

  function failed(error) {
    if (error.status === 503) return { database: "failing", reachable: true };
    if (error.status === 0) return { reachable: false };
    const gone = error.status === 404 || error.status === 403;
    return gone || alert.callout === null ? { problem: error } : {};
  }

  function heard(statistics) {
    const before = alert.statistics;
    set({ statistics, heardAt: Date.now(), figuresAt: Date.now(), database: "ok", reachable: true });
    if (alert.callout === null) return;
    const moved = before !== null && stateOf(before) !== stateOf(statistics);
    if (moved || disagrees(alert)) soon();
    else if (phaseOf(alert) !== alert.besidesOf && !loading) besides().catch((error) => set(failed(error)));
  }

  function soon() {
    delayed ||= setTimeout(() => {
      delayed = 0;
      load();
    }, 1000 * MAX_DELAY_SECONDS * Math.random());
  }

  function check() {
    if (document.hidden || alert.problem) return;
    const seconds = (Date.now() - askedAt) / 1000;
    const begun = alert.callout !== null && alert.callout.status !== "initialized";
    const silent = alert.statistics && callsInTheAir(alert.statistics) > 0 && Date.now() - alert.heardAt > 1000 * SILENCE_SECONDS;
    if (silent || !alert.reachable || alert.callout === null || seconds > (begun ? BEGUN_SECONDS : WAITING_SECONDS)) load();
  }

  function seen() {
    if (!document.hidden) load();
  }

  load();
  const timer = setInterval(check, 1000 * SILENCE_SECONDS);
  const unfollow = follow(`${path}/progress`, heard, (link) => set({ link }));
  document.addEventListener("visibilitychange", seen);
  return {
    reload: load,
    async foresee() {
      await loading;
      forecastAt = 0;
      await load();
    },
    async accept(changes) {
      set(changes);
      await loading;
      await load();
    },
    stop() {
      stopped = true;
      clearInterval(timer);
      clearTimeout(delayed);
      unfollow();
      document.removeEventListener("visibilitychange", seen);
    },
  };
}

/** How the page stands to the server: as ALERT's link, or lost, or failing where its database does not answer. */
export function connection({ link, reachable, database }) {
  if (database === "failing") return "failing";
  return reachable ? link : "lost";
}

/** What changes in the statistics when somebody else starts, pauses, resumes or stops the callout, or holds calls. */
function stateOf({ started_at: started, completed_at: completed, limited_by: limit, health }) {
  return [started, completed, limit === null, health.provider === "held"].join();
}

/** Whether the statistics are of a callout that does not run, though it was running when it was asked for. */
function disagrees({ callout, statistics }) {
  const runs = statistics.limited_by !== null;
  const open = totals(statistics.people).open > 0;
  return callout.status === "running" ? open && !runs : runs;
}

const isHeld = ({ statistics }) => statistics?.health.provider === "held";

/** The account as far as it is known, unless calls are held now and were not then, or the other way round. */
function accountOf(alert) {
  return alert.account && isHeld(alert) === alert.accountHeld ? alert.account : null;
}

function skewOf(headers) {
  const date = Date.parse(headers.get("Date") ?? "");
  return Number.isNaN(date) ? 0 : date - Date.now();
}
