// The outcomes of people, as the server counts them, and the groups in which the page tells of them.

// From the best to the worst: the order of the bar and of its table.
export const OUTCOMES = [
  "acknowledged",
  "reached",
  "calling",
  "waiting",
  "pending",
  "unknown",
  "unreached",
  "excluded",
];

// Who is being called, will be, or may be.
const OPEN = ["pending", "calling", "waiting"];

/** The people of a callout or of a group as {total, reached, open, unknown, unreached, excluded}, which sum to total. */
export function totals(people) {
  return {
    total: people.total,
    reached: people.reached + people.acknowledged,
    open: OPEN.reduce((sum, outcome) => sum + people[outcome], 0),
    unknown: people.unknown,
    unreached: people.unreached,
    excluded: people.excluded,
  };
}

/** How many calls are at the provider or going on: what must bring webhooks. */
export function callsInTheAir(statistics) {
  const { remotely_queued: placed, in_progress: talking, remote_fetch_queued: asked } = statistics.calls;
  return placed + talking + asked;
}

/**
 * The open people of STATISTICS: `flying`, whose phone rings or who talk, and `waiting`, whose turn comes, also if their
 * call is queued already.
 */
export function openPeople(statistics) {
  const flying = Math.min(callsInTheAir(statistics), statistics.people.calling);
  return { flying, waiting: totals(statistics.people).open - flying };
}
