// Numbers as they are dialled within a country: which country that is, said here, so that the file stays where it is.

import { html, useAction, useState, Button, Field, Form, Notice } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { may, session } from "../../lib/session.js";
import { t } from "../../lib/text.js";
import { countryName } from "../parts/country_name.js";

/** onKnown is called when the account has its country. Only an administrator may give it one. */
export function Country({ onKnown }) {
  const [code, setCode] = useState("");
  const [save, { busy, error }] = useAction(async () => {
    await api.patch("api/account", { default_country: code });
    session.account.settings = (await api.get("api/account")).body.settings;
    onKnown();
  });
  if (!may("admin")) return html`<${Notice} kind="warning">${t("import.no_country")} ${t("import.ask_for_country")}<//>`;
  return html`<${Notice} kind="warning">
    <p>${t("import.no_country")}</p>
    <${Form} onSubmit=${save}>
      <${Field} label=${t("settings.default_country")} name="default_country" maxlength="2" autocapitalize="characters" required value=${code} onInput=${setCode} error=${error} hint=${countryName(code) ?? t("import.country_hint")} />
      <${Notice} error=${error} shown=${["default_country"]} />
      <div class="actions"><${Button} type="submit" busy=${busy} disabled=${!countryName(code)}>${t("import.use_country")}<//></div>
    <//>
  <//>`;
}
