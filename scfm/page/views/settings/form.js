// A form of settings: what is changed is sent, and what the server says is shown.

import { useAction, useEffect, useState } from "../../lib/ui.js";
import * as api from "../../lib/api.js";

const orNull = (_, value) => (value === "" ? null : value);

/**
 * {values, change, save, busy, error, saved, changed} of a form whose values begin as `before`, an object of texts and
 * booleans. Only those that differ are sent; `sent` makes of a name and its value what the API gets. When they are saved,
 * `secrets`, names of values that nobody is shown, are empty again.
 */
export function useSettingsForm(before, reload, { sent = orNull, secrets = [] } = {}) {
  const [values, setValues] = useState(before);
  const [saved, setSaved] = useState(false);
  const known = JSON.stringify(before);
  useEffect(() => setValues(before), [known]);
  const names = Object.keys(before).filter((name) => values[name] !== before[name]);
  const [save, { busy, error }] = useAction(async () => {
    setSaved(false);
    await api.patch("api/account", Object.fromEntries(names.map((name) => [name, sent(name, values[name])])));
    setSaved(true);
    setValues((now) => ({ ...now, ...Object.fromEntries(secrets.map((name) => [name, ""])) }));
    await reload();
  });
  const change = (name) => (value) => {
    setSaved(false);
    setValues((now) => ({ ...now, [name]: value }));
  };
  return { values, change, save, busy, error, saved, changed: names.length > 0 };
}
