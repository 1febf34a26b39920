// The people of an alert by a value of their contacts, such as the district: the one with the most unreached first.

import { Button, html, Notice, useState } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { number, t } from "../../lib/text.js";
import { totals } from "./outcomes.js";
import { turnOf } from "./phase.js";
import { Bar } from "./people.js";
import { useThrottled } from "./throttled.js";

// The groups are counted anew so often while the figures change, and somebody looks at them.
const SECONDS = 10;
const SHOWN = 12;
const OTHERS = "(other)";
// What is looked at first, if contacts have it; a name, which few share, is looked at last.
const USUAL = ["district", "commune", "province", "village", "region", "county"];
const UNUSUAL = ["name"];
const STORED = "scfm.group_by";

/** The paths by which people may be grouped, best first: those that contacts have. */
export async function groupPaths() {
  const { body } = await api.get("api/contacts/fields").catch(() => ({ body: { fields: [] } }));
  return body.fields.map(({ path }) => path).sort((one, other) => rank(one) - rank(other));
}

function rank(path) {
  const name = path.split(".").at(-1);
  const place = USUAL.indexOf(name);
  return place >= 0 ? place : USUAL.length + UNUSUAL.indexOf(name) + 1;
}

/** ALERT has statistics; PATH is the one that was chosen, of PATHS; CHOOSE takes another. */
export function Groups({ alert, path, paths, choose }) {
  const { callout, statistics } = alert;
  const { found, element } = useThrottled(() => groupsOf(callout.id, path), {
    seconds: SECONDS,
    inputs: [callout.id, path],
    trigger: statistics,
    urgent: turnOf(alert),
    initial: { path, groups: [], problem: null },
  });
  const { problem } = found;
  // Those of the path before are none of this one.
  const groups = found.path === path ? found.groups : [];
  const [all, setAll] = useState(false);
  const shown = all ? groups : groups.slice(0, SHOWN);
  return html`<div class="groups" ref=${element}>
    <label>${t("alert.group_by")} <select value=${path} onChange=${(event) => choose(event.target.value)}>
      ${paths.map((one) => html`<option key=${one} value=${one}>${one.replace(/^metadata\./, "")}</option>`)}
    </select></label>
    <${Notice} error=${problem} />
    <div class="scroll" tabindex="0" role="region" aria-label=${`${t("alert.group_by")} ${path.replace(/^metadata\./, "")}`}>
      <table>
        <thead><tr>
          <th scope="col">${path.replace(/^metadata\./, "")}</th>
          <th scope="col" class="numeric">${t("alert.people")}</th>
          <th scope="col" class="numeric">${t("alert.column_unreached")}</th>
          <th scope="col" class="numeric less">${t("alert.column_unknown")}</th>
          <th scope="col" class="numeric less">${t("alert.column_open")}</th>
          <th scope="col" class="numeric">${t("alert.column_reached")}</th>
          <th scope="col" class="wide"><span class="unseen">${t("alert.share")}</span></th>
        </tr></thead>
        <tbody>${shown.map(({ value, people }) => html`<${Group} key=${JSON.stringify(value)} value=${value} people=${people} />`)}</tbody>
      </table>
    </div>
    ${groups.length > SHOWN &&
    html`<${Button} aria-expanded=${all} onClick=${() => setAll(!all)}>
      ${all ? t("alert.fewer_groups") : t("alert.all_groups", { count: groups.length })}
    <//>`}
  </div>`;
}

function Group({ value, people }) {
  const { total, reached, open, unknown, unreached } = totals(people);
  return html`<tr>
    <th scope="row">${value === null ? t("alert.no_value") : value === OTHERS ? t("alert.other_groups") : value}</th>
    <td class="numeric">${number(total)}</td>
    <td class="numeric">${number(unreached)}</td>
    <td class="numeric less">${number(unknown)}</td>
    <td class="numeric less">${number(open)}</td>
    <td class="numeric">${number(reached)}</td>
    <td class="wide"><${Bar} people=${people} thin /></td>
  </tr>`;
}

/** Null where the server could not be asked: what is shown stays. */
async function groupsOf(calloutId, path) {
  try {
    const { body } = await api.get(`api/callouts/${calloutId}/statistics`, { group_by: path });
    return { path, groups: body.groups, problem: null };
  } catch (error) {
    return error.status === 422 ? { path, groups: [], problem: error } : null;
  }
}

/** The path that was chosen on this device before, if it is still one of PATHS, else the first. */
export function firstPath(paths) {
  const chosen = localStorage.getItem(STORED);
  return paths.includes(chosen) ? chosen : paths[0];
}

export const keepPath = (path) => localStorage.setItem(STORED, path);
