// A rehearsal of a flow: a phone that says as text what people would hear. Nobody is called, and nothing is kept.

import { html, useAction, useState, Button, Field, Notice, Section, Select } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { may } from "../../lib/session.js";
import { t } from "../../lib/text.js";
import { languageName } from "../parts/language_name.js";
import { flattened, parsed } from "../parts/metadata.js";
import { Phone } from "./phone.js";
import { VersionChoice } from "./versions.js";

export function Rehearsal({ flow, path, draft }) {
  const [version, setVersion] = useState("");
  const [person, setPerson] = useState({ metadata: {} });
  const [language, setLanguage] = useState("");
  const [about, setAbout] = useState("");
  const [call, setCall] = useState(null);
  const [act, { busy, error }] = useAction(async (callee) => {
    if (draft.changed && version === "" && may("operator")) await draft.save();
    const asked = { callee, contact: contactOf(flow, person, language), ...calloutOf(about), ...(version && { version }) };
    const { body } = await api.post(`${path}/rehearsals`, asked);
    setCall({ rehearsal: body, callee });
  });
  const languages = flow.definition.languages ?? [];
  return html`<${Section}>
    <p class="hint">${t("flow.rehearsal_hint")}</p>
    ${draft.changed && version === "" && html`<${Notice}>${t(may("operator") ? "flow.rehearsal_saves" : "flow.rehearsal_unsaved")}<//>`}
    <div class="rehearsing">
      <div>
        <${VersionChoice} flow=${flow} value=${version} onVersion=${setVersion} />
        <${Select} label=${t("flow.language")} value=${language} options=${[["", t("flow.language_of_person")], ...languages.map((code) => [code, languageName(code)])]} onInput=${setLanguage} />
        <${PersonChoice} person=${person} onPerson=${setPerson} />
        <${Field} label=${t("flow.callout_metadata")} multiline rows="3" value=${about} onInput=${setAbout} hint=${t("flow.callout_metadata_hint")} />
      </div>
      <${Phone} call=${call} act=${act} busy=${busy} onOver=${() => setCall(null)} />
    </div>
    <${Notice} error=${error} />
  <//>`;
}

function contactOf(flow, person, language) {
  if (!language) return person;
  const path = (flow.definition.language_from ?? "metadata.language").split(".").slice(1);
  return { ...person, metadata: withValue(person.metadata, path, language) };
}

/** A copy of `values` with a value at a path. */
function withValue(values, [name, ...rest], value) {
  const inside = values !== null && typeof values === "object" ? values : {};
  return { ...inside, [name]: rest.length ? withValue(inside[name], rest, value) : value };
}

/** "place: Stung Treng", a line each, as the metadata of a callout; a text that begins with { is JSON. */
function calloutOf(about) {
  const text = about.trim();
  if (!text) return {};
  if (text.startsWith("{")) return { callout: { metadata: parsed(text) } };
  const lines = text.split("\n").map((line) => line.split(/:(.*)/s).map((part) => part.trim()));
  return { callout: { metadata: Object.fromEntries(lines.filter(([name]) => name).map(([name, value = ""]) => [name, value])) } };
}

/** Takes the number and the metadata of one of the contacts. */
function PersonChoice({ person, onPerson }) {
  const [number, setNumber] = useState("");
  const [missing, setMissing] = useState(false);
  const [look, { busy, error }] = useAction(async () => {
    const { body } = await api.get("api/contacts", { q: { msisdn: number }, per_page: 1 });
    const [found] = number ? body : [];
    setMissing(Boolean(number) && !found);
    onPerson(found ? personOf(found) : { metadata: {} });
  });
  const values = flattened(person.metadata).map(([name, value]) => `${name}: ${value}`);
  return html`<div class="with-button">
      <${Field} label=${t("flow.person")} type="tel" value=${number} onInput=${setNumber} hint=${t("flow.person_hint")} error=${missing ? t("flow.person_missing") : null} />
      <${Button} busy=${busy} onClick=${look}>${t("flow.person_take")}<//>
    </div>
    <${Notice} error=${error} />
    ${values.length > 0 && html`<p class="hint"><bdi>${values.join(" · ")}</bdi></p>`}`;
}

/** What call flows keep is not among what a rehearsal is given; nor is a number that is masked. */
function personOf(contact) {
  const { call_flow_data: _, ...metadata } = contact.metadata;
  return { metadata, ...(/^\+\d+$/.test(contact.msisdn) ? { msisdn: contact.msisdn } : {}) };
}
