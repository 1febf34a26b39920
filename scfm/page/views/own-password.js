// The dialog in which people change their own password.

import { html, useAction, useState, Button, Dialog, Field, FormDialog, Notice } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { t } from "../lib/text.js";
import { PASSWORD_LENGTH } from "./parts/passwords.js";

export default function OwnPassword({ onClose }) {
  const [password, setPassword] = useState("");
  const [newPassword, setNewPassword] = useState("");
  const [changed, setChanged] = useState(false);
  const save = useAction(async () => {
    await api.patch("session", { password, new_password: newPassword });
    setChanged(true);
  });
  const [, { error }] = save;
  if (changed) {
    return html`<${Dialog} title=${t("users.own_password")} onClose=${onClose}>
      <${Notice}>${t("users.own_password_changed")}<//>
      <div class="actions"><${Button} kind="primary" onClick=${onClose} autofocus>${t("audio.close")}<//></div>
    <//>`;
  }
  return html`<${FormDialog} title=${t("users.own_password")} label=${t("contacts.save")} action=${save} shown=${["password", "new_password"]} onClose=${onClose}>
    <${Field} label=${t("users.present_password")} name="password" type="password" autocomplete="current-password" required value=${password} onInput=${setPassword} error=${error} />
    <${Field} label=${t("users.new_password")} name="new_password" type="password" autocomplete="new-password" required value=${newPassword} onInput=${setNewPassword} error=${error} hint=${t("users.password_hint")} ...${PASSWORD_LENGTH} />
  <//>`;
}
