// The phone of a rehearsal: what is heard and done, and the keys.

import { html, useEffect, useRef, useState, Button, Field, Form } from "../../lib/ui.js";
import { duration, t } from "../../lib/text.js";
import { written } from "../parts/metadata.js";
import { awaited, heardLines } from "./transcript.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const SPOKEN_SECONDS = [5, 20];

/** `call` is {rehearsal, callee}, or null before it begins; act(callee) rehearses the call with these actions. */
export function Phone({ call, act, busy, onOver }) {
  const log = useRef(null);
  useEffect(() => {
    if (log.current) log.current.scrollTop = log.current.scrollHeight;
  }, [call]);
  const waits = call && awaited(call.rehearsal, call.callee);
  const next = (item) => act([...call.callee, item]);
  return html`<div class="phone" role="group" aria-label=${t("flow.phone")}>
    <div class="heard" role="log" aria-label=${t("flow.heard")} tabindex="0" ref=${log}>
      ${call ? html`<${Transcript} call=${call} waits=${waits} />` : html`<p class="empty">${t("flow.phone_silent")}</p>`}
    </div>
    ${waits && html`<${Controls} waits=${waits} next=${next} busy=${busy} />`}
    <div class="actions">
      ${waits && html`<${Button} kind="danger" busy=${busy} onClick=${() => next({ hang_up: true })}>${t("flow.hang_up")}<//>`}
      ${!waits && html`<${Button} kind="primary" busy=${busy} onClick=${() => act([])}>${t(call ? "flow.call_again" : "flow.call")}<//>`}
      ${call && !waits && html`<${Button} onClick=${onOver}>${t("flow.clear")}<//>`}
    </div>
    ${call && html`<${Result} rehearsal=${call.rehearsal} over=${!waits} />`}
  </div>`;
}

function Transcript({ call, waits }) {
  const { transcript } = call.rehearsal;
  // While the phone waits, its last line is that the callee hangs up for want of an answer.
  const lines = heardLines(waits ? transcript.slice(0, -1) : transcript);
  return lines.map(
    ({ who, key, text }, index) => html`<p key=${index} class=${`line by-${who}`}>
      <bdi>${t(`flow.heard_${key}`, { text })}</bdi>
    </p>`,
  );
}

function Controls({ waits, next, busy }) {
  const [keys, setKeys] = useState("");
  const [words, setWords] = useState("");
  const give = (item) => {
    setKeys("");
    setWords("");
    next(item);
  };
  const press = (key) => {
    const typed = keys + key;
    const full = waits.record || typed.length === waits.keys || key === waits.finish;
    if (full) give(typed);
    else setKeys(typed);
  };
  return html`<div class="controls">
    ${waits.keys !== 1 && !waits.record && html`<p class="typed" role="status">${keys || t("flow.no_keys")}</p>`}
    <div class="keys" role="group" aria-label=${t("flow.keys")}>
      ${KEYS.map((key) => html`<button type="button" key=${key} disabled=${busy} onClick=${() => press(key)}>${key}</button>`)}
    </div>
    <div class="actions">
      ${keys && html`<${Button} kind="primary" busy=${busy} onClick=${() => give(keys)}>${t("flow.send_keys")}<//>`}
      <${Button} busy=${busy} onClick=${() => give(null)}>${t("flow.stay_silent")}<//>
      ${waits.record &&
      SPOKEN_SECONDS.map((seconds) => html`<${Button} key=${seconds} kind="primary" busy=${busy} onClick=${() => give({ record: seconds })}>${t("flow.speak", { count: seconds })}<//>`)}
    </div>
    ${waits.speech &&
    html`<${Form} class="with-button" onSubmit=${() => words.trim() && give({ say: words })}>
      <${Field} label=${t("flow.say")} value=${words} onInput=${setWords} />
      <${Button} type="submit" busy=${busy}>${t("flow.say_it")}<//>
    <//>`}
  </div>`;
}

/** What the call leaves. */
function Result({ rehearsal, over }) {
  const answers = Object.entries(rehearsal.answers);
  return html`<div class="result" role="status">
    <p>${over ? t("flow.call_over") : t("flow.call_waits")}</p>
    ${rehearsal.acknowledged && html`<p><strong>${t("flow.heard_acknowledged")}</strong></p>`}
    ${rehearsal.opted_out && html`<p><strong>${t("flow.heard_opted_out")}</strong></p>`}
    ${answers.length > 0 && html`<ul>${answers.map(([name, value]) => html`<li key=${name}><bdi>${name}: ${answered(value)}</bdi></li>`)}</ul>`}
  </div>`;
}

const answered = (value) => (value?.recording_url ? t("person.recording", { length: duration(value.seconds) }) : written(value));
