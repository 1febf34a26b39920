// What components do over time: fetch, act, and look at the clock.

import { useCallback, useEffect, useRef, useState } from "../vendor/hooks.js";
import { onConnection } from "./connection.js";

// From this status on, and where no answer came, it may go well another time.
const MAY_PASS = 500;

/**
 * What `fetched()` resolves to, asked again when one of `inputs` changes or `reload` is called:
 * {data, error, loading, reload}. An error that may pass can be tried again: `error.again` does. What was there before stays until the answer comes; where that is an error, only if it
 * was of the same inputs. When a server that could not be reached is back, it is asked again.
 */
export function useData(fetched, inputs = []) {
  const [state, setState] = useState({ data: null, of: null, error: null, loading: true });
  const newest = useRef(0);
  const reload = useCallback(async function own() {
    const asked = ++newest.current;
    setState((before) => ({ ...before, loading: true }));
    try {
      const data = await fetched();
      if (asked === newest.current) setState({ data, of: own, error: null, loading: false });
    } catch (error) {
      report(error);
      if (error.status === 0 || error.status >= MAY_PASS) error.again = own;
      if (asked === newest.current) setState((before) => ({ ...before, data: before.of === own ? before.data : null, error, loading: false }));
    }
  }, inputs);
  useEffect(() => {
    reload();
    const forget = onConnection((lost) => lost || reload());
    return () => {
      forget();
      newest.current++;
    };
  }, [reload]);
  return { ...state, reload };
}

/** A mistake of the page's own is for those who write it, too; what the server answers is not one. */
function report(error) {
  if (error.status === undefined) console.error(error);
}

/** An action that a button starts: [run, {busy, error}]. It runs once at a time; `run` resolves to whether it succeeded. */
export function useAction(action) {
  const [state, setState] = useState({ busy: false, error: null });
  const running = useRef(false);
  const run = async (...given) => {
    if (running.current) return false;
    running.current = true;
    setState({ busy: true, error: null });
    try {
      await action(...given);
      setState({ busy: false, error: null });
      return true;
    } catch (error) {
      report(error);
      setState({ busy: false, error });
      return false;
    } finally {
      running.current = false;
    }
  };
  return [run, state];
}

/** The time in milliseconds, anew every `seconds`. */
export function useNow(seconds = 1) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds]);
  return now;
}
