// Who is called: everybody, or those whose fields have the values that are chosen, among those that there are.

import * as api from "../../lib/api.js";
import { html, useEffect, useId, useRef, useState, Section, Button, Field, Select, useData } from "../../lib/ui.js";
import { number, t } from "../../lib/text.js";
import { href } from "../../lib/router.js";
import { filterOf } from "./form.js";
import { labelOf, nested, queryOf } from "../parts/paths.js";

// Milliseconds without a change after which people are counted.
const QUIET = 300;
const NOBODY = "\u0000none";
// How often fields and values that are still being counted are asked for again, and after how many milliseconds.
const MAX_TRIES = 6;
const COUNT_AGAIN = 2_000;

/** How many contacts fit, counted anew when the filter has not changed for a moment: {count, error}; null while unknown. */
function useCount(filter) {
  const query = queryOf(filter);
  const [found, setFound] = useState({ query: null, count: null, error: null });
  useEffect(() => {
    let over = false;
    const timer = setTimeout(async () => {
      try {
        const { total } = await api.get(`api/contacts?per_page=1${query && `&${query}`}`);
        if (!over) setFound({ query, count: total, error: null });
      } catch (error) {
        if (!over) setFound({ query, count: null, error });
      }
    }, QUIET);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [query]);
  // The count of another filter is none of this one.
  return found.query === query ? found : { count: null, error: null };
}

/** What `fetched()` resolves to, asked again some times while it is not `complete`, as the server goes on counting. */
function useCounted(fetched, inputs = []) {
  const found = useData(fetched, inputs);
  const tries = useRef(0);
  useEffect(() => void (tries.current = 0), inputs);
  useEffect(() => {
    if (found.loading || found.data?.complete !== false || tries.current >= MAX_TRIES) return undefined;
    tries.current++;
    const timer = setTimeout(found.reload, COUNT_AGAIN);
    return () => clearTimeout(timer);
  }, [found.loading, found.data]);
  return found;
}

export function Audience({ form, change }) {
  const { count, error } = useCount(filterOf(form));
  const fields = useCounted(async () => (await api.get("api/contacts/fields")).body);
  const set = (index, part) => change({ conditions: form.conditions.map((one, at) => (at === index ? { ...one, ...part } : one)) });
  if (form.fixedAudience) return html`<${Section} title=${t("new_alert.who")}><p>${t("new_alert.fixed_audience")}</p><//>`;
  const unused = fields.data?.fields.filter(({ path }) => !form.conditions.some((one) => one.path === path)) ?? [];
  const isFiltered = form.conditions.length > 0 || Object.keys(form.otherFilters).length > 0;
  const said = error ? error.message : count === null ? t("new_alert.counting") : t(isFiltered ? "new_alert.people" : "new_alert.everybody", { count });
  return html`<${Section} title=${t("new_alert.who")}>
    <p class="count" role="status">${said}</p>
    ${count === 0 && html`<p><a href=${href("contacts", "import")}>${t("new_alert.import")}</a></p>`}
    ${Object.keys(form.otherFilters).length > 0 && html`<p class="hint">${t("new_alert.other_filters")} <code>${JSON.stringify(form.otherFilters)}</code> <${Button} kind="plain" onClick=${() => change({ otherFilters: {} })}>${t("new_alert.remove")}<//></p>`}
    ${form.conditions.map(
      (condition, index) => html`<${Condition}
        key=${condition.path}
        condition=${condition}
        others=${{ ...form.otherFilters, metadata: nested(form.conditions.filter((one, at) => at !== index && one.value !== undefined)) }}
        onValue=${(value) => set(index, { value })}
        onRemove=${() => change({ conditions: form.conditions.filter((_, at) => at !== index) })}
      />`,
    )}
    ${unused.length > 0 &&
    html`<${Select}
      label=${t(form.conditions.length ? "new_alert.and_only" : "new_alert.only")}
      value=""
      options=${[["", t("new_alert.choose_field")], ...unused.map(({ path, contacts }) => [path, `${labelOf(path)} (${number(contacts)})`])]}
      onInput=${(path) => path && change({ conditions: [...form.conditions, { path, value: undefined }] })}
    />`}
    ${fields.data && !fields.data.complete && html`<p class="hint">${t("new_alert.fields_incomplete")}</p>`}
  <//>`;
}

/** One condition: a field, and one of the values that those who fit the other conditions have. */
function Condition({ condition, others, onValue, onRemove }) {
  const label = labelOf(condition.path);
  const query = queryOf(others);
  const { data, error } = useCounted(
    async () => (await api.get(`api/contacts/fields?path=${encodeURIComponent(condition.path)}${query && `&${query}`}`)).body,
    [condition.path, query],
  );
  const values = data?.values ?? [];
  const isOpen = data !== null && (data.rest.values > 0 || !data.complete);
  const shown = (value) => (value === null ? t("new_alert.no_value") : value === "" ? t("new_alert.empty_value") : value);
  const options = values.map(({ value, contacts }) => [value === null ? NOBODY : value, `${shown(value)} (${number(contacts)})`]);
  const chosen = condition.value === null ? NOBODY : condition.value;
  if (chosen !== undefined && !options.some(([value]) => value === chosen)) options.push([chosen, shown(condition.value)]);
  const onInput = (value) => onValue(value === NOBODY ? null : value);
  return html`<div class="row">
    ${isOpen
      ? html`<${Values} label=${label} value=${condition.value} values=${values} onInput=${onValue} />`
      : html`<${Select}
          label=${label}
          error=${error?.message}
          value=${chosen ?? ""}
          options=${chosen === undefined ? [["", t(data ? "new_alert.choose_value" : "new_alert.counting")], ...options] : options}
          onInput=${onInput}
        />`}
    <${Button} aria-label=${t("new_alert.remove_condition", { field: label })} onClick=${onRemove}>${t("new_alert.remove")}<//>
  </div>`;
}

/** Of a field with more values than are listed: a text, with those that most people have to choose from. */
function Values({ label, value, values, onInput }) {
  const list = useId();
  return html`<div class="field">
    <${Field} label=${label} list=${list} value=${value ?? ""} hint=${t("new_alert.many_values")} onInput=${(text) => onInput(text === "" ? undefined : text)} />
    <datalist id=${list}>${values.filter((one) => one.value).map((one) => html`<option value=${one.value}>${number(one.contacts)}</option>`)}</datalist>
  </div>`;
}
