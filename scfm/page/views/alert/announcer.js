// What a screen reader is told of an alert that goes on: a sentence, and not each figure.

import { html, useEffect, useRef, useState } from "../../lib/ui.js";

const SECONDS = 20;

/** TEXT is told when URGENT changes, and else at most every SECONDS. Not at first: the reader comes to it by himself. */
export function Announcer({ text, urgent }) {
  const [told, setTold] = useState("");
  const newest = useRef(text);
  const last = useRef({ urgent, at: Date.now(), text });
  newest.current = text;
  useEffect(() => {
    if (last.current.text === text) return undefined;
    const tell = () => {
      last.current = { urgent, at: Date.now(), text: newest.current };
      setTold(newest.current);
    };
    if (last.current.urgent !== urgent) return void tell();
    const timer = setTimeout(tell, Math.max(0, last.current.at + 1000 * SECONDS - Date.now()));
    return () => clearTimeout(timer);
  }, [text, urgent]);
  return html`<p class="unseen" role="status" aria-live="polite">${told}</p>`;
}
