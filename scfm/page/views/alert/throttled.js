// What is asked for again while figures change: not too often, and only while somebody looks at it.

import { useEffect, useRef, useState } from "../../lib/ui.js";

// What is about to be scrolled to is asked for before it is there.
const AHEAD = "300px";
// Seconds until what is urgent is asked for: several things may change at once.
const DEBOUNCE = 0.4;

/**
 * {found, element}: what `ask()` resolves to, at first `initial`; asked when `inputs` change, and, at most once in so many
 * seconds and while the `element` (a ref) is on the screen, when `trigger` does; and without waiting for these seconds when
 * `urgent` does. Null keeps what was found before, and is asked again.
 */
export function useThrottled(ask, { seconds, inputs, trigger, urgent, initial }) {
  const [found, setFound] = useState(initial);
  const element = useRef(null);
  const asking = useRef(null);
  useEffect(() => {
    const own = throttled(async () => {
      const answer = await ask();
      if (asking.current !== own) return;
      if (answer === null) own.changed();
      else setFound(answer);
    }, seconds);
    asking.current = own;
    const observer = new IntersectionObserver((entries) => own.show(entries.at(-1).isIntersecting), { rootMargin: AHEAD });
    observer.observe(element.current);
    return () => {
      asking.current = null;
      own.stop();
      observer.disconnect();
    };
  }, inputs);
  const known = useRef(urgent);
  useEffect(() => {
    asking.current.changed(known.current !== urgent);
    known.current = urgent;
  }, [trigger, urgent]);
  return { found, element };
}

/**
 * Runs `action` at once, and then when something has `changed`, soon if that is urgent: never twice at a time, and only
 * while it is shown.
 */
function throttled(action, seconds) {
  let timer = 0;
  let running = false;
  let dirty = true;
  let soon = false;
  let shown = false;
  let stopped = false;
  let last = performance.now();

  async function run() {
    timer = 0;
    running = true;
    dirty = soon = false;
    last = performance.now();
    try {
      await action();
    } finally {
      running = false;
      next();
    }
  }

  function next() {
    if (!dirty || !shown || running || stopped || (timer && !soon)) return;
    clearTimeout(timer);
    timer = setTimeout(run, soon ? 1000 * DEBOUNCE : Math.max(0, last + 1000 * seconds - performance.now()));
  }

  run();
  return {
    changed(urgent = false) {
      dirty = true;
      soon ||= urgent;
      next();
    },
    show(visible) {
      shown = visible;
      next();
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
