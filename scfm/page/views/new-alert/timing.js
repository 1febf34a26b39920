// When people are called: now or later, in which hours, and until when; and how often.

import { html, Section, Button, Checkbox, Field, Select } from "../../lib/ui.js";
import { t, zoneName } from "../../lib/text.js";
import { Choice, Choices } from "./choice.js";
import { DAYS, RETRIED, defaultWindow } from "./form.js";
import { problemsAt } from "./problems.js";

const MAX_ATTEMPTS = 10;
const MINUTE = 60;
const zones = () => Intl.supportedValuesOf?.("timeZone") ?? [];

/** The name of a weekday in the reader's language. */
function dayName(day) {
  const monday = Date.UTC(2024, 0, 1);
  return new Intl.DateTimeFormat(document.documentElement.lang, { weekday: "short", timeZone: "UTC" }).format(monday + DAYS.indexOf(day) * 86_400_000);
}

export function Timing({ form, change, error }) {
  const here = { zone: zoneName() };
  return html`<${Section} title=${t("new_alert.when")}>
    <${Choice}
      legend=${t("new_alert.begin")}
      value=${form.startsAt === "" ? "now" : "later"}
      options=${[["now", t("new_alert.begin_now")], ["later", t("new_alert.begin_later")]]}
      onInput=${(value) => change({ startsAt: value === "now" ? "" : tomorrow() })}
    />
    ${form.startsAt !== "" &&
    html`<${Field} label=${t("new_alert.starts_at", here)} type="datetime-local" required value=${form.startsAt} error=${problemsAt(error, "/starts_at")} onInput=${(startsAt) => startsAt && change({ startsAt })} />`}
    <${Checkbox} label=${t("new_alert.hours")} checked=${form.window !== null} onInput=${(ticked) => change({ window: ticked ? defaultWindow() : null })} />
    ${form.window && html`<${Hours} window=${form.window} onInput=${(part) => change({ window: { ...form.window, ...part } })} error=${error} />`}
    <${Checkbox} label=${t("new_alert.deadline")} checked=${form.notAfter !== ""} onInput=${(ticked) => change({ notAfter: ticked ? tomorrow() : "" })} />
    ${form.notAfter !== "" &&
    html`<${Field} label=${t("new_alert.not_after", here)} type="datetime-local" required value=${form.notAfter} error=${problemsAt(error, "/not_after")} onInput=${(notAfter) => notAfter && change({ notAfter })} />`}
  <//>`;
}

function tomorrow() {
  const at = new Date(Date.now() + 86_400_000);
  return new Date(at - at.getTimezoneOffset() * MINUTE * 1000).toISOString().slice(0, 14) + "00";
}

function Hours({ window, onInput, error }) {
  const known = zones();
  const zone = { label: t("new_alert.zone"), value: window.time_zone, error: problemsAt(error, "/window/time_zone"), onInput: (time_zone) => onInput({ time_zone }) };
  return html`<div class="group">
    <div class="row">
      <${Field} label=${t("new_alert.hours_from")} type="time" required value=${window.from} error=${problemsAt(error, "/window/from")} onInput=${(from) => from && onInput({ from })} />
      <${Field} label=${t("new_alert.hours_to")} type="time" required value=${window.to === "24:00" ? "00:00" : window.to} error=${problemsAt(error, "/window/to")} onInput=${(to) => to && onInput({ to: to === "00:00" ? "24:00" : to })} />
      ${known.length ? html`<${Select} ...${zone} options=${[...new Set([...known, window.time_zone])]} />` : html`<${Field} ...${zone} />`}
    </div>
    <${Choices} legend=${t("new_alert.days")} values=${window.days} options=${DAYS.map((day) => [day, dayName(day)])} error=${problemsAt(error, "/window/days")} onInput=${(days) => onInput({ days })} />
    <${Field}
      label=${t("new_alert.except")}
      hint=${t("new_alert.except_hint")}
      value=${window.except.join(", ")}
      error=${problemsAt(error, "/window/except")}
      onInput=${(text) => onInput({ except: text.split(/[\s,;]+/).filter(Boolean) })}
    />
  </div>`;
}

export function Attempts({ form, change, error }) {
  const times = Number(form.attempts);
  const counts = Array.from({ length: MAX_ATTEMPTS }, (_, index) => [String(index + 1), t("new_alert.times", { count: index + 1 })]);
  const delays = form.delays.slice(0, Math.max(times - 1, 1));
  const set = (index, minutes) => change({ delays: delays.map((delay, at) => (at === index ? Math.max(1, Math.round(Number(minutes) * MINUTE)) : delay)) });
  return html`<${Section} title=${t("new_alert.how_often")}>
    <${Select} label=${t("new_alert.attempts")} value=${String(form.attempts)} options=${counts} onInput=${(value) => change({ attempts: Number(value) })} />
    ${times > 1 &&
    html`<div class="group">
      ${delays.map(
        (delay, index) => html`<div class="row" key=${index}>
          <${Field}
            label=${t(index === delays.length - 1 && index < times - 2 ? "new_alert.delay_rest" : "new_alert.delay", { count: index + 1 })}
            type="number"
            min="1"
            value=${String(delay / MINUTE)}
            error=${problemsAt(error, `/retry/delays/${index}`)}
            onInput=${(minutes) => Number(minutes) > 0 && set(index, minutes)}
          />
          ${index > 0 && html`<${Button} onClick=${() => change({ delays: delays.filter((_, at) => at !== index) })}>${t("new_alert.remove")}<//>`}
        </div>`,
      )}
      ${delays.length < times - 1 && html`<${Button} kind="plain" onClick=${() => change({ delays: [...delays, delays.at(-1)] })}>${t("new_alert.add_delay")}<//>`}
      <${Choices}
        legend=${t("new_alert.again_on")}
        values=${form.on}
        options=${RETRIED.filter((one) => one !== "not_acknowledged" || form.acknowledge).map((one) => [one, t(`reason.${one}`)])}
        error=${problemsAt(error, "/retry/on")}
        onInput=${(on) => change({ on })}
      />
    </div>`}
  <//>`;
}
