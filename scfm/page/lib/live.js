// Figures that follow a callout: by the stream of server-sent events, or, where nothing comes through it, by asking.

import * as api from "./api.js";
import { onConnection } from "./connection.js";

// Milliseconds. A stream sends the newest figures at once: a proxy that has not passed them on by then holds it back.
const SILENCE = 6_000;
// So long a stream may say nothing until it is asked whether that is so: a connection can die without a word.
const QUIET = 45_000;
const FIRST_RETRY = 1_000;
const LAST_RETRY = 20_000;
const FIRST_POLL = 3_000;
const LAST_POLL = 20_000;
const STREAM_AGAIN = 300_000;

/**
 * Follow "api/callouts/5/progress". onData gets the statistics when they change; onState gets "connecting", "live",
 * "polling", "lost" or "ended" when that changes. Gives what ends it. A hidden page does not follow: browsers allow six
 * connections to a server, and all tabs share them.
 */
export function follow(path, onData, onState = () => {}) {
  const polled = path.replace(/\/progress$/, "/statistics");
  let state = null;
  let source = null;
  let timer = null;
  // Counts the beginnings: an answer to what was asked before the last one is too late.
  let turn = 0;
  let delay = FIRST_RETRY;
  let streamAfter = 0;
  let last = null;

  const tell = (next) => {
    if (state !== next) onState((state = next));
  };
  const later = (action, milliseconds) => {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds);
  };
  const close = () => {
    turn++;
    clearTimeout(timer);
    source?.close();
    source = null;
  };

  function begin() {
    close();
    if (document.hidden) return;
    if (Date.now() < streamAfter) poll(FIRST_POLL);
    else listen();
  }

  function listen() {
    if (state === null) tell("connecting");
    source = new EventSource(api.href(path));
    source.addEventListener("statistics", (event) => {
      delay = FIRST_RETRY;
      later(check, QUIET);
      received(JSON.parse(event.data), "live");
    });
    source.onerror = retry;
    later(() => {
      streamAfter = Date.now() + STREAM_AGAIN;
      begin();
    }, SILENCE);
  }

  /** What figures say: whether they are others than before, and whether they are the last. */
  function received(figures, how) {
    const text = JSON.stringify(figures);
    const changed = text !== last;
    last = text;
    tell(how);
    if (changed) onData(figures);
    if (figures.completed_at) {
      tell("ended");
      stop();
    }
    return changed;
  }

  /** The figures now; null if something else has begun meanwhile, or they do not come. */
  async function asked() {
    const mine = turn;
    try {
      const { body } = await api.get(polled);
      return mine === turn ? body : null;
    } catch (error) {
      if (mine !== turn) return null;
      tell(error.status === 404 ? "ended" : "lost");
      if (error.status === 404) stop();
      else later(begin, nextDelay());
      return null;
    }
  }

  /** Ask, and again after `wait` or later. */
  async function poll(wait) {
    const figures = await asked();
    if (figures === null) return;
    const mine = turn;
    delay = FIRST_RETRY;
    const changed = received(figures, "polling");
    const next = changed ? FIRST_POLL : Math.min(wait * 1.5, LAST_POLL);
    if (mine === turn) later(() => (Date.now() < streamAfter ? poll(next) : begin()), wait);
  }

  /** Whether a stream that says nothing has nothing to say. */
  async function check() {
    const figures = await asked();
    if (figures === null) return;
    if (received(figures, "live")) begin();
    else later(check, QUIET);
  }

  /** The stream has ended: whether the server is there, and then the stream again. */
  async function retry() {
    close();
    tell("connecting");
    const figures = await asked();
    if (figures === null) return;
    const mine = turn;
    received(figures, "connecting");
    if (mine === turn) later(begin, nextDelay());
  }

  // Not all pages at once when a server has come back.
  function nextDelay() {
    const now = delay * (0.5 + Math.random());
    delay = Math.min(delay * 2, LAST_RETRY);
    return now;
  }

  function stop() {
    close();
    forget();
    document.removeEventListener("visibilitychange", begin);
  }

  document.addEventListener("visibilitychange", begin);
  const forget = onConnection((lost) => lost || begin());
  begin();
  return stop;
}
