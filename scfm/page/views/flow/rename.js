// Gives a call flow another name.

import { html, useAction, useState, Field, FormDialog } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { t } from "../../lib/text.js";

export function RenameDialog({ flow, path, onClose, onSaved }) {
  const [name, setName] = useState(flow.name);
  const save = useAction(async () => {
    await api.patch(path, { name: name.trim() });
    await onSaved();
    onClose();
  });
  const [, { error }] = save;
  return html`<${FormDialog} title=${t("flow.rename_title")} label=${t("contacts.save")} action=${save} shown=${["name"]} onClose=${onClose}>
    <${Field} label=${t("flows.name")} name="name" value=${name} onInput=${setName} error=${error} hint=${t("flows.name_hint")} maxlength="64" required />
  <//>`;
}
