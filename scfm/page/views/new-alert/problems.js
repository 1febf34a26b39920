// What the server says of a plan, "/retry/max_attempts: must be at most 10", at the field that it is about.

const SHOWN = ["/starts_at", "/not_after", "/window/", "/retry/", "/priority", "/calls_per_second", "/calls_in_flight", "/emergency/", "/remote_request_params/from"];

const placed = (error) => (error?.errors?.plan ?? []).map((message) => /^(\/[^:\s]*): (.*)$/s.exec(message) ?? [message, "", message]);

/** What is said of what is at `pointer` or below: a list. */
export function problemsAt(error, pointer) {
  return placed(error)
    .filter(([, place]) => place === pointer || place.startsWith(`${pointer}/`))
    .map(([, , message]) => message);
}

/** The error without what fields have shown; null if nothing is left. */
export function unplaced(error) {
  if (!error) return null;
  const left = placed(error).filter(([, place]) => !SHOWN.some((shown) => place.startsWith(shown)));
  const { plan, ...others } = error.errors ?? {};
  if (plan && left.length === 0 && Object.keys(others).length === 0) return null;
  const errors = left.length ? { ...others, plan: left.map(([message]) => message) } : others;
  return Object.assign(Object.create(Object.getPrototypeOf(error)), error, { message: error.message, errors });
}
