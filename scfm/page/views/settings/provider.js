// The provider that places the calls, and the account's credentials there, which are never shown.

import { html, Button, Field, Form, Notice, Section, Select } from "../../lib/ui.js";
import { t } from "../../lib/text.js";
import { useSettingsForm } from "./form.js";

const PROVIDERS = ["twilio", "somleng", "simulator"];
const SECRETS = ["twilio_auth_token", "twilio_signing_key", "somleng_auth_token"];

export function Provider({ account, reload }) {
  const before = {
    platform_provider_name: account.settings.platform_provider_name ?? "",
    twilio_account_sid: account.twilio_account_sid ?? "",
    somleng_account_sid: account.somleng_account_sid ?? "",
    ...Object.fromEntries(SECRETS.map((name) => [name, ""])),
  };
  const form = useSettingsForm(before, reload, { secrets: SECRETS });
  const { values, change, error } = form;
  const options = [["", t("settings.provider_of_server")], ...PROVIDERS.map((name) => [name, t(`settings.provider_${name}`)])];
  const field = (name) => html`<${Field} key=${name} label=${t(`settings.${name}`)} name=${name} value=${values[name]} onInput=${change(name)} error=${error} autocomplete="off" spellcheck="false" />`;
  const secret = (name) => html`<${Field}
    key=${name}
    label=${t(`settings.${name}`)}
    name=${name}
    type="password"
    autocomplete="new-password"
    value=${values[name]}
    onInput=${change(name)}
    error=${error}
    hint=${account[name] ? t("settings.secret_known", { end: account[name].slice(-4) }) : t("settings.secret_none")}
  />`;
  const provider = values.platform_provider_name;
  return html`<${Section} title=${t("settings.provider")}>
    <${Form} onSubmit=${form.save}>
      <${Select} label=${t("settings.provider_name")} name="platform_provider_name" value=${provider} options=${options} onInput=${change("platform_provider_name")} error=${error} />
      ${provider === "twilio" && [field("twilio_account_sid"), secret("twilio_auth_token"), secret("twilio_signing_key")]}
      ${provider === "somleng" && [field("somleng_account_sid"), secret("somleng_auth_token")]}
      <${Notice} error=${error} shown=${Object.keys(before)} />
      ${form.saved && html`<${Notice}>${t("settings.saved")}<//>`}
      <div class="actions"><${Button} type="submit" kind="primary" busy=${form.busy} disabled=${!form.changed}>${t("contacts.save")}<//></div>
    <//>
  <//>`;
}
