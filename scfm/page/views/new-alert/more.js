// What is needed less often: the caller's number, machines, acknowledgement, limits, and emergencies.

import { html, Section, Checkbox, Field, Select } from "../../lib/ui.js";
import { t } from "../../lib/text.js";
import { problemsAt } from "./problems.js";

const MACHINES = ["play", "hang_up", "retry"];
const SEVERITIES = ["minor", "moderate", "severe", "extreme"];
const PRIORITIES = Array.from({ length: 10 }, (_, index) => String(index));

export function More({ form, change, error }) {
  const text = (name, place, rest = {}) => ({
    label: t(`new_alert.${place}`),
    value: String(form[name]),
    error: problemsAt(error, `/${place}`),
    onInput: (value) => change({ [name]: value }),
    ...rest,
  });
  return html`<${Section} title=${t("new_alert.more")}>
    <${Checkbox} label=${t("new_alert.acknowledge")} checked=${form.acknowledge} onInput=${(acknowledge) => change(acknowledge ? { acknowledge } : { acknowledge, on: form.on.filter((one) => one !== "not_acknowledged") })} />
    <${Select}
      label=${t("new_alert.machine")}
      value=${form.answeringMachine}
      options=${MACHINES.map((one) => [one, t(`new_alert.machine_${one}`)])}
      onInput=${(answeringMachine) => change({ answeringMachine })}
    />
    <details>
      <summary>${t("new_alert.limits")}</summary>
      <div class="group">
        <${Select}
          label=${t("new_alert.priority")}
          value=${String(form.priority)}
          options=${PRIORITIES.map((one) => [one, one === "5" ? t("new_alert.priority_usual", { value: 5 }) : one])}
          onInput=${(priority) => change({ priority: Number(priority) })}
        />
        <${Field} ...${text("callsPerSecond", "calls_per_second", { type: "number", min: "0", step: "any", hint: t("new_alert.limit_hint") })} />
        <${Field} ...${text("callsInFlight", "calls_in_flight", { type: "number", min: "1", hint: t("new_alert.limit_hint") })} />
      </div>
    </details>
    <${Checkbox} label=${t("new_alert.emergency")} checked=${form.emergency !== null} onInput=${(ticked) => change({ emergency: ticked ? { reason: "", severity: "severe" } : null })} />
    ${form.emergency &&
    html`<div class="group">
      <p class="notice warning">${t("new_alert.emergency_hint")}</p>
      <${Field} label=${t("new_alert.emergency_reason")} required maxlength="1000" value=${form.emergency.reason} error=${problemsAt(error, "/emergency/reason")} onInput=${(reason) => change({ emergency: { ...form.emergency, reason } })} />
      <${Select}
        label=${t("new_alert.severity")}
        value=${form.emergency.severity}
        options=${SEVERITIES.map((one) => [one, t(`new_alert.severity_${one}`)])}
        onInput=${(severity) => change({ emergency: { ...form.emergency, severity } })}
      />
    </div>`}
  <//>`;
}
