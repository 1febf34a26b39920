// Looks again at what is still changing.

import { useEffect } from "../../lib/ui.js";

const INTERVAL_MS = 2000;

/** Calls `reload` every two seconds while `changing`, and the page is looked at. */
export function usePoll(changing, reload) {
  useEffect(() => {
    if (!changing) return undefined;
    const timer = setInterval(() => document.hidden || reload(), INTERVAL_MS);
    return () => clearInterval(timer);
  }, [changing, reload]);
}
