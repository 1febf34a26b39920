// The draft of an alert: a callout that has not been started. It is stored as soon as there is something to say, and
// after each change, and looked at by a preflight; the form is kept in this tab as well, so that a reload loses nothing.

import * as api from "../../lib/api.js";
import { useCallback, useEffect, useRef, useState } from "../../lib/ui.js";
import { replaceQuery } from "../../lib/router.js";
import { lastNumber } from "../parts/caller_number.js";
import { emptyForm, fromCallout, saysSomething, toCallout } from "./form.js";

// Milliseconds without a change after which the draft is stored.
const QUIET = 700;
const KEPT = "scfm.draft.";

const keyOf = (id, drill) => KEPT + (id ?? (drill ? "drill" : "alert"));

const isSubmitted = (callout) => callout?.approval?.status === "submitted";

/** What this tab has kept of a draft: {form, stored}; `stored` is whether the server has it as well. */
function kept(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

const keep = (key, form, stored) => sessionStorage.setItem(key, JSON.stringify({ form, stored }));

/**
 * The form of the draft with this `id`, or of a new one: {form, change, status, preflight, error, saved, discard}.
 * `change` gets what is new in the form, or a function from the form to that. `saved()` resolves to {id, preflight} of what the form holds now, or rejects.
 * `status` is "loading", "new", "saving", "saved", "failed", "gone", or "submitted" while somebody is to approve it.
 */
export function useDraft({ id: given, drill, begin }) {
  const [form, setForm] = useState(null);
  const [state, setState] = useState({ status: "loading", preflight: null, error: null });
  const draft = useRef({ id: given ?? null, callout: null, version: 0, saving: null, timer: null, left: false });
  const current = useRef(null);

  const tell = (part) => setState((before) => ({ ...before, ...part }));

  useEffect(() => {
    const here = draft.current;
    load(given, drill, begin).then(
      ({ form: found, callout }) => {
        if (here.left) return;
        // What is stored already is not written again: whoever only looks has not written it.
        if (callout) here.callout = JSON.stringify(toCallout(fromCallout(callout)));
        current.current = found;
        setForm(found);
        tell({ status: isSubmitted(callout) ? "submitted" : callout ? "saved" : "new" });
        if (!isSubmitted(callout) && (callout || saysSomething(found))) schedule(0);
      },
      (error) => !here.left && tell({ status: error.status === 404 ? "gone" : "failed", error }),
    );
    return () => {
      here.left = true;
      clearTimeout(here.timer);
    };
  }, []);

  const store = useCallback(async () => {
    const here = draft.current;
    clearTimeout(here.timer);
    // One write at a time: the next one has what came meanwhile.
    while (here.saving) await here.saving.catch(() => {});
    const version = here.version;
    here.saving = write(here, current.current).finally(() => (here.saving = null));
    tell({ status: "saving" });
    try {
      const preflight = await here.saving;
      if (version === here.version) {
        keep(keyOf(here.id, drill), current.current, true);
        tell({ status: "saved", preflight, error: null });
      }
      return { id: here.id, preflight };
    } catch (error) {
      if (version === here.version) tell({ status: error.status === 404 ? "gone" : "failed", preflight: null, error });
      throw error;
    }
  }, []);

  const schedule = useCallback((wait = QUIET) => {
    const here = draft.current;
    clearTimeout(here.timer);
    here.timer = setTimeout(() => store().catch(() => {}), wait);
  }, []);

  const change = useCallback((given) => {
    const here = draft.current;
    // A recording may have been stored after the view was left: a draft that nobody sees, and that may run, stays as it is.
    if (here.left) return;
    here.version++;
    const part = typeof given === "function" ? given(current.current) : given;
    current.current = { ...current.current, ...part };
    setForm(current.current);
    keep(keyOf(here.id, drill), current.current, false);
    if (here.id === null && !saysSomething(current.current)) return;
    tell({ status: "saving" });
    schedule();
  }, []);

  const discard = useCallback(async () => {
    const here = draft.current;
    clearTimeout(here.timer);
    await here.saving?.catch(() => {});
    if (here.id !== null) await api.remove(`api/callouts/${here.id}`);
    forget(here.id, drill);
  }, []);

  return { form, change, saved: store, discard, ...state };
}

/** Nothing of the draft is kept in this tab any more. */
export function forget(id, drill) {
  sessionStorage.removeItem(keyOf(id, drill));
}

async function load(id, drill, begin) {
  const unsaved = begin ? null : kept(keyOf(null, drill))?.form;
  if (id === undefined) return { form: unsaved ?? { ...(begin ?? emptyForm(drill)), from: await lastNumber() }, callout: null };
  const { body } = await api.get(`api/callouts/${id}`);
  if (body.status !== "initialized") throw new api.ApiError(404);
  const [known, here] = [fromCallout(body), kept(keyOf(id, drill))];
  // What was stored from here may have been changed by others since: then theirs is the newer one.
  const newest = here?.form && (!here.stored || isSame(here.form, known)) ? here.form : known;
  return { form: newest, callout: body };
}

const isSame = (one, other) => JSON.stringify(toCallout(one)) === JSON.stringify(toCallout(other));

/** Store the form as the draft, which is made if there is none; the preflight of it. */
async function write(here, form) {
  const callout = toCallout(form);
  const written = JSON.stringify(callout);
  if (here.id === null) {
    const { body } = await api.post("api/callouts", callout);
    here.id = body.id;
    keep(keyOf(here.id, form.drill), form, false);
    sessionStorage.removeItem(keyOf(null, form.drill));
    if (!here.left) replaceQuery({ id: here.id });
  } else if (written !== here.callout) {
    await api.patch(`api/callouts/${here.id}`, { ...callout, metadata_merge_mode: "replace" });
  }
  here.callout = written;
  return (await api.post(`api/callouts/${here.id}/preflight`, {})).body;
}
