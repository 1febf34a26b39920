// Where an audio file is played: in which call flows, and in which alerts.

import { html, useData, Busy, Button, Dialog, Notice } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { href } from "../../lib/router.js";
import { t } from "../../lib/text.js";
import { addressOf, titleOf } from "../alerts.js";

// Definitions may have 256 KiB each.
const FLOWS_AT_ONCE = 20;
const MAX_ALERTS = 100;

export function UseDialog({ file, onClose }) {
  const { data, error } = useData(async () => {
    const [flows, alerts] = await Promise.all([flowsWith(file.name), alertsWith(file)]);
    return { flows, alerts };
  }, [file.id]);
  const unused = data && !data.flows.length && !data.alerts.length;
  return html`<${Dialog} title=${t("audio.use_title", { name: file.name })} onClose=${onClose}>
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${unused && html`<p>${t("audio.unused")}</p>`}
    ${data && !unused &&
    html`<ul>
      ${data.flows.map((flow) => html`<li key=${`f${flow.id}`}>${t("audio.in_flow")} <a href=${href("flows", flow.id)}>${flow.name}</a></li>`)}
      ${data.alerts.map((alert) => html`<li key=${`a${alert.id}`}>${t("audio.in_alert")} <a href=${addressOf(alert)}><bdi>${titleOf(alert)}</bdi></a></li>`)}
    </ul>`}
    <p class="hint">${t("audio.use_hint")}</p>
    <div class="actions"><${Button} onClick=${onClose}>${t("audio.close")}<//></div>
  <//>`;
}

/** The call flows whose draft plays it. */
async function flowsWith(name) {
  const written = JSON.stringify(`audio:${name}`);
  const found = [];
  for (let page = 1, total = 1; (page - 1) * FLOWS_AT_ONCE < total; page += 1) {
    const answer = await api.get("api/call_flows", { page, per_page: FLOWS_AT_ONCE });
    total = answer.total;
    found.push(...answer.body.filter((flow) => JSON.stringify(flow.definition).includes(written)));
  }
  return found;
}

/** The alerts whose message it is: by its name alone, or as that of its language. */
async function alertsWith({ name, language }) {
  const asked = [{ audio: name }, ...(language ? [{ audio: { [language]: name } }] : [])];
  const lists = await Promise.all(asked.map((metadata) => api.newest("api/callouts", { q: { metadata } }, 1, MAX_ALERTS)));
  return lists.flatMap(({ rows }) => rows);
}
