// What people hear: texts that a voice says, recordings, or a call flow; and, in text, what that comes to.

import * as api from "../../lib/api.js";
import { html, Section, Button, Field, Select, Empty, Notice, useData } from "../../lib/ui.js";
import { duration, t } from "../../lib/text.js";
import { href } from "../../lib/router.js";
import { Choice } from "./choice.js";
import { isTwice } from "./form.js";
import { Rehearsal } from "./rehearsal.js";
import { Recording } from "./recording.js";

const LANGUAGES = "contact-languages";
const MAX_LISTED = 1000;

/** All audio files, the newest first. */
const audioFiles = async () => (await api.newest("api/audio_files", {}, 1, MAX_LISTED)).rows;
const flows = async () => (await api.get("api/call_flows", { per_page: MAX_LISTED, status: "published" })).body.filter(({ version }) => version !== null);

/** The languages that the contacts' metadata names, the most frequent first. */
async function contactLanguages() {
  const { body } = await api.get("api/contacts/fields", { path: "metadata.language" });
  return body.values.map(({ value }) => value).filter(Boolean);
}

export function Message({ form, change, error }) {
  const languages = useData(() => contactLanguages().catch(() => []));
  return html`<${Section} title=${t("new_alert.what")}>
    <${Choice}
      legend=${t("new_alert.kind")}
      value=${form.kind}
      options=${["sound", "text", "flow"].map((kind) => [kind, t(`new_alert.kind_${kind}`)])}
      onInput=${(kind) => change({ kind })}
    />
    <datalist id=${LANGUAGES}>${(languages.data ?? []).map((language) => html`<option value=${language} />`)}</datalist>
    <${Notice} error=${error} />
    ${form.kind === "text" && html`<${Texts} form=${form} change=${change} />`}
    ${form.kind === "sound" && html`<${Sounds} form=${form} change=${change} />`}
    ${form.kind === "flow" && html`<${Flow} form=${form} change=${change} />`}
  <//>`;
}

const replaced = (list, index, part) => list.map((one, at) => (at === index ? { ...one, ...part } : one));
const without = (list, index) => list.filter((_, at) => at !== index);

function LanguageField({ entries, index, onInput }) {
  const entry = entries[index];
  const filled = entries.filter(({ text, name }) => (text ?? name).trim());
  const twice = filled.includes(entry) && isTwice(filled, filled.indexOf(entry));
  return html`<${Field}
    label=${t("new_alert.language")}
    list=${LANGUAGES}
    maxlength="35"
    value=${entry.language}
    error=${twice ? t("new_alert.language_twice") : null}
    hint=${index === 0 ? t("new_alert.language_first") : t("new_alert.language_hint")}
    onInput=${onInput}
  />`;
}

function Texts({ form, change }) {
  const { texts } = form;
  const several = texts.length > 1;
  return html`
    ${texts.map(
      (entry, index) => html`<div key=${index} class="entry">
        ${several && html`<${LanguageField} entries=${texts} index=${index} onInput=${(language) => change({ texts: replaced(texts, index, { language }) })} />`}
        <${Field}
          label=${several ? t("new_alert.text_in", { language: entry.language || t("new_alert.all_others") }) : t("new_alert.text")}
          multiline=${true}
          maxlength="6000"
          lang=${entry.language || undefined}
          value=${entry.text}
          onInput=${(text) => change({ texts: replaced(texts, index, { text }) })}
        />
        ${several && html`<${Button} onClick=${() => change({ texts: without(texts, index) })}>${t("new_alert.remove")}<//>`}
      </div>`,
    )}
    <${Button} kind="plain" onClick=${() => change({ texts: [...texts, { language: "", text: "" }] })}>${t("new_alert.add_language")}<//>
    <p class="hint">${t("new_alert.voice_hint")}</p>
    <${Said} entries=${texts.filter(({ text }) => text.trim())} say=${({ text }) => html`“${text.trim()}”`} />
  `;
}

const soundsOf = ({ sounds }) => (sounds.length ? sounds : [{ language: "", name: "" }]);

function Sounds({ form, change }) {
  const { data: files, error, reload } = useData(audioFiles);
  const sounds = soundsOf(form);
  const several = sounds.length > 1;
  // A recording is stored after a while, in which the others may have changed.
  const set = (index, part) => change((now) => ({ sounds: replaced(soundsOf(now), index, part) }));
  const known = Object.fromEntries((files ?? []).map((file) => [file.name, file]));
  const options = [["", t("new_alert.choose_audio")], ...(files ?? []).map(({ name, seconds }) => [name, `${name} (${duration(seconds)})`])];
  return html`
    <${Notice} error=${error} />
    ${sounds.map(
      (entry, index) => html`<div key=${index} class="entry">
        ${several && html`<${LanguageField} entries=${sounds} index=${index} onInput=${(language) => set(index, { language })} />`}
        <${Recording}
          language=${entry.language}
          onStored=${async ({ name }) => {
            await reload();
            set(index, { name });
          }}
        />
        ${(options.length > 1 || entry.name) &&
        html`<${Select}
          label=${t("new_alert.audio")}
          value=${entry.name}
          options=${entry.name && !known[entry.name] ? [...options, [entry.name, entry.name]] : options}
          onInput=${(name) => set(index, { name })}
        />`}
        ${known[entry.name] && html`<audio controls preload="none" src=${api.href(known[entry.name].url)} aria-label=${entry.name}></audio>`}
        ${several && html`<${Button} onClick=${() => change({ sounds: without(sounds, index) })}>${t("new_alert.remove")}<//>`}
      </div>`,
    )}
    <${Button} kind="plain" onClick=${() => change({ sounds: [...sounds, { language: "", name: "" }] })}>${t("new_alert.add_language")}<//>
    <${Said} entries=${sounds.filter(({ name }) => name)} say=${({ name }) => t("new_alert.plays", { name })} />
  `;
}

/** What who answers hears, in each language. */
function Said({ entries: written, say }) {
  const entries = written.filter((_, index) => !isTwice(written, index));
  if (entries.length === 0) return null;
  return html`<div class="said">
    <h3>${t("new_alert.heard")}</h3>
    <ul>
      ${entries.map((entry, index) => html`<li key=${index}>
        ${entries.length > 1 && html`<strong>${index === 0 ? t("new_alert.heard_first", { language: entry.language || "–" }) : entry.language || t("new_alert.all_others")}:</strong> `}
        ${say(entry)}
      </li>`)}
    </ul>
    <p class="hint">${t("new_alert.heard_twice")}</p>
  </div>`;
}

function Flow({ form, change }) {
  const { data, error } = useData(flows);
  const chosen = data?.find(({ name }) => name === form.flow);
  if (data && data.length === 0 && !form.flow) return html`<${Empty}>${t("new_alert.no_flows")} <a href=${href("flows")}>${t("shell.flows")}</a><//>`;
  const names = (data ?? []).map(({ name }) => name);
  const options = ["", ...names, ...(form.flow && !names.includes(form.flow) ? [form.flow] : [])];
  return html`<${Notice} error=${error} />
    <${Select} label=${t("new_alert.flow")} value=${form.flow} options=${options.map((name) => [name, name || t("new_alert.choose_flow")])} onInput=${(flow) => change({ flow })} />
    ${chosen && html`<${Rehearsal} key=${chosen.id} flow=${chosen} metadata=${form.otherMetadata} />`}`;
}
