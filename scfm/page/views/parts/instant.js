// Times that somebody writes.

/** A local time of an input, "2026-11-29T17:00", as the API has it; undefined where it is none. */
export function instant(local) {
  const at = local ? new Date(local) : null;
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : undefined;
}
