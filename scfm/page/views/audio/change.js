// Gives an audio file another name or language.

import { html, useAction, useState, Field, FormDialog } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { t } from "../../lib/text.js";

export function ChangeDialog({ file, onClose, onSaved }) {
  const [name, setName] = useState(file.name);
  const [language, setLanguage] = useState(file.language ?? "");
  const save = useAction(async () => {
    await api.patch(`api/audio_files/${file.id}`, { ...(name === file.name ? {} : { name }), language: language || null });
    await onSaved();
    onClose();
  });
  const [, { error }] = save;
  return html`<${FormDialog} title=${t("audio.change_title", { name: file.name })} label=${t("contacts.save")} action=${save} shown=${["name", "language"]} onClose=${onClose}>
    <${Field} label=${t("audio.name")} name="name" value=${name} onInput=${setName} error=${error} maxlength="100" required />
    <${Field} label=${t("audio.language")} name="language" value=${language} onInput=${setLanguage} error=${error} hint=${t("audio.language_hint")} />
  <//>`;
}
