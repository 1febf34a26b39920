// Whether the server can be reached. When a request gets no answer, this asks until one comes, and then says so.

// This file is at ROOT/static/DIGEST/lib/connection.js, wherever a proxy has put ROOT.
export const ROOT = new URL("../../../", import.meta.url);

const FIRST_DELAY = 1_000;
const LAST_DELAY = 15_000;

const listeners = new Set();
let lost = false;

/** Be told true when the server cannot be reached any more, false when it can be again; gives what ends that. */
export function onConnection(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether the last that was heard of the server is that nothing is heard. */
export const isLost = () => lost;

/** A request has got an answer of the server, or none. */
export function noticed(answered) {
  if (answered !== lost) return;
  lost = !answered;
  if (lost) probe(FIRST_DELAY);
  for (const listener of [...listeners]) listener(lost);
}

async function probe(delay) {
  // Not all pages at once when a server has come back.
  await pause(delay * (0.5 + Math.random()));
  if (!lost) return;
  const answer = await fetch(new URL("health", ROOT), { cache: "no-store" }).catch(() => null);
  if (answer?.ok) noticed(true);
  else probe(Math.min(delay * 2, LAST_DELAY));
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
