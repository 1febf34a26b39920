// How fast the account calls, how it reads numbers, which it may dial, and whether an alert needs approval.

import { html, Button, Checkbox, Field, Form, Notice, Section } from "../../lib/ui.js";
import { t } from "../../lib/text.js";
import { countryName } from "../parts/country_name.js";
import { useSettingsForm } from "./form.js";

export function Limits({ account, reload }) {
  const { settings } = account;
  const before = {
    calls_per_second: written(settings.calls_per_second),
    calls_in_flight: written(settings.calls_in_flight),
    default_country: settings.default_country ?? "",
    dial_allow_list: (settings.dial_allow_list ?? []).join("\n"),
    approval_required: settings.approval_required === true,
  };
  const form = useSettingsForm(before, reload, { sent });
  const { values, change, error } = form;
  const field = (name, more) => html`<${Field} label=${t(`settings.${name}`)} name=${name} value=${values[name]} onInput=${change(name)} error=${error} hint=${t(`settings.${name}_hint`)} ...${more} />`;
  const country = countryName(values.default_country);
  return html`<${Section} title=${t("settings.limits")}>
    <${Form} onSubmit=${form.save}>
      ${field("calls_per_second", { inputmode: "decimal" })} ${field("calls_in_flight", { inputmode: "numeric" })}
      ${field("default_country", { maxlength: 2, autocapitalize: "characters" })} ${country && html`<p role="status">${country}</p>`}
      ${field("dial_allow_list", { multiline: true, rows: 4 })}
      <${Checkbox} label=${t("settings.approval_required")} checked=${values.approval_required} onInput=${change("approval_required")} />
      <${Notice} error=${error} shown=${Object.keys(before).slice(0, 4)} />
      ${form.saved && html`<${Notice}>${t("settings.saved")}<//>`}
      <div class="actions"><${Button} type="submit" kind="primary" busy=${form.busy} disabled=${!form.changed}>${t("contacts.save")}<//></div>
    <//>
  <//>`;
}

const written = (value) => (value === null || value === undefined ? "" : String(value));

function sent(name, value) {
  if (name === "dial_allow_list") return value.split(/[\n,]/).map((line) => line.trim()).filter(Boolean);
  return value === "" ? null : value;
}
