// A new audio file: one of this device, or what is said into its microphone.

import { html, useAction, useId, useState, Field, FormDialog } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { percent, t } from "../../lib/text.js";
import { Microphone } from "./microphone.js";

export function NewAudio({ onClose, onSaved }) {
  const [name, setName] = useState("");
  const [language, setLanguage] = useState("");
  const [file, setFile] = useState(null);
  const [sound, setSound] = useState(null);
  const [sent, setSent] = useState(null);
  const id = useId();
  const save = useAction(async () => {
    const chosen = sound ? new File([sound.blob], `${name || "recording"}.wav`, { type: "audio/wav" }) : file;
    await api.upload("api/audio_files", chosen, { name, language }, setSent);
    await onSaved();
    onClose();
  });
  const choose = (event) => {
    const [chosen] = event.currentTarget.files;
    setFile(chosen ?? null);
    if (chosen && !name) setName(chosen.name.replace(/\.[^.]*$/, "").slice(0, 100));
  };
  const [, { busy, error }] = save;
  return html`<${FormDialog} title=${t("audio.add_title")} label=${t("audio.save")} action=${save} shown=${["name", "language"]} disabled=${!sound && !file} onClose=${onClose}>
    <${Microphone} onSound=${setSound} />
    <div class="field">
      <label for=${id}>${t("audio.file")}</label>
      <input id=${id} type="file" accept="audio/wav,audio/mpeg,.wav,.mp3" onChange=${choose} disabled=${sound !== null} />
      <p class="hint">${t("audio.file_hint")}</p>
    </div>
    <${Field} label=${t("audio.name")} name="name" value=${name} onInput=${setName} error=${error} hint=${t("audio.name_hint")} maxlength="100" required />
    <${Field} label=${t("audio.language")} name="language" value=${language} onInput=${setLanguage} error=${error} hint=${t("audio.language_hint")} />
    ${busy && sent !== null && html`<p role="status">${t("audio.sending", { part: percent(sent) })}</p>`}
  <//>`;
}
