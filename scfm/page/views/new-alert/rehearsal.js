// A call through a flow that calls nobody, as text: what is heard, and what may be pressed.

import "../parts/style.js";
import * as api from "../../lib/api.js";
import { html, useState, Notice, Select, useAction } from "../../lib/ui.js";
import { t } from "../../lib/text.js";
import { Phone } from "../flow/phone.js";
import { nested } from "../parts/paths.js";

/** Rehearses the newest version of `flow`; `metadata` is the callout's. */
export function Rehearsal({ flow, metadata }) {
  const [language, setLanguage] = useState("");
  const [call, setCall] = useState(null);
  const { languages = [], language_from: place = "metadata.language" } = flow.definition ?? {};
  const [act, { busy, error }] = useAction(async (callee) => {
    const person = language ? { metadata: nested([{ path: place, value: language }]) } : { metadata: {} };
    const given = { version: flow.version, callee, contact: person, callout: { metadata } };
    setCall({ rehearsal: (await api.post(`api/call_flows/${flow.id}/rehearsals`, given)).body, callee });
  });
  const choose = (one) => {
    setLanguage(one);
    setCall(null);
  };
  return html`<div class="said">
    <h3>${t("new_alert.rehearsal")}</h3>
    <p class="hint">${t("new_alert.rehearsal_hint")}</p>
    ${languages.length > 1 && html`<${Select} label=${t("new_alert.language")} value=${language} options=${[["", t("new_alert.all_others")], ...languages]} onInput=${choose} />`}
    <${Phone} call=${call} act=${act} busy=${busy} onOver=${() => setCall(null)} />
    <${Notice} error=${error} />
  </div>`;
}
