// The text of a definition while it is being changed. It outlives the page: a draft is stored only when nothing is wrong.

import { useEffect, useMemo, useRef, useState } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { t } from "../../lib/text.js";
import { JsonProblem, readJson, splitError } from "./json_places.js";

const STORED = "scfm.flow.";
// After the last key, so long until the text is checked.
const CHECK_DELAY_MS = 700;

/** What this tab has kept: {text, base}; null where that is nothing. */
function kept(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

const textOf = (definition) => `${JSON.stringify(definition, null, 2)}\n`;

/**
 * {text, setText, changed, findings, save, discard} of a flow. `findings` is {problem, errors, warnings}: a JsonProblem,
 * or what the server finds: [{pointer, message, line}] both.
 */
export function useDraft(flow, path, reload) {
  const key = STORED + flow.id;
  const stored = textOf(flow.definition);
  const [before] = useState(() => kept(key));
  const [text, setText] = useState(before?.text ?? stored);
  const changed = text !== stored;
  // The stored text that was changed: what others have stored since is not in it.
  const base = useRef(before?.base ?? stored);
  if (!changed) base.current = stored;
  useEffect(() => {
    if (changed) sessionStorage.setItem(key, JSON.stringify({ text, base: base.current }));
    else sessionStorage.removeItem(key);
  }, [text, changed]);
  useEffect(() => {
    if (!changed) return undefined;
    const warn = (event) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [changed]);
  const findings = useFindings(text);
  const save = async () => {
    const { value } = readJson(text);
    const { body: now } = await api.get(path);
    if (textOf(now.definition) !== base.current) {
      // What is stored now is then what is known, so that the next save replaces it.
      base.current = textOf(now.definition);
      await reload();
      throw new api.ApiError(409, { message: t("flow.changed_by_another") });
    }
    await api.patch(path, { definition: value });
    base.current = textOf(value);
    setText(textOf(value));
    await reload();
  };
  return { text, setText, changed, findings, save, discard: () => setText(stored) };
}

/** What is wrong with a text, and what may be better: looked for when nothing has been typed for a moment. */
function useFindings(text) {
  const read = useMemo(() => {
    try {
      return readJson(text);
    } catch (error) {
      return error;
    }
  }, [text]);
  const [found, setFound] = useState({ errors: [], warnings: [], checked: null });
  useEffect(() => {
    if (!read.places) return undefined;
    let current = true;
    const timer = setTimeout(async () => {
      const checked = await check(read.value).catch((error) => ({ errors: [], warnings: [], failure: error }));
      if (current) setFound({ ...checked, checked: text });
    }, CHECK_DELAY_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [read]);
  const problem = read instanceof JsonProblem ? read : read instanceof Error ? new JsonProblem("value", 1, 1) : null;
  const settled = found.checked === text && !problem;
  return { problem, places: read.places ?? new Map(), settled, ...(settled ? found : { errors: [], warnings: [] }) };
}

async function check(definition) {
  try {
    const { body } = await api.post("api/call_flows/validate", { definition });
    return { errors: [], warnings: body.warnings.map(splitError) };
  } catch (error) {
    if (!error.errors?.definition) throw error;
    return { errors: error.errors.definition.map(splitError), warnings: [] };
  }
}
