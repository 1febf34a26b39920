// A sentence recorded here, or a file from this device, sent to the audio files.

import * as api from "../../lib/api.js";
import { html, useEffect, useState, Button, Field, Notice, useAction, useNow } from "../../lib/ui.js";
import { MAX_RECORDING_SECONDS, SILENCE_PEAK, obstacle } from "../../lib/recorder.js";
import { duration, t } from "../../lib/text.js";
import { useRecorder } from "../parts/use_recorder.js";

const newName = () => t("new_alert.recording_name", { time: new Date().toISOString().slice(0, 16).replace("T", "-").replace(":", "") });

/** onStored gets the new audio file. */
export function Recording({ language, onStored }) {
  const [taken, setTaken] = useState(null);
  const [problem, setProblem] = useState(null);
  const cannot = obstacle();
  const choose = (event) => {
    const [file] = event.currentTarget.files;
    event.currentTarget.value = "";
    setProblem(null);
    if (file) setTaken({ blob: file, seconds: null, name: file.name.replace(/\.[^.]*$/, "") || newName() });
  };
  return html`<div class="recording">
    <div class="actions">
      ${!cannot && html`<${Microphone} onTaken=${(sound) => setTaken({ ...sound, name: newName() })} onProblem=${setProblem} />`}
      <label class="button">
        ${t("new_alert.upload")}
        <input class="unseen" type="file" accept="audio/*,.wav,.mp3" onChange=${choose} />
      </label>
    </div>
    ${cannot && html`<p class="hint">${t(`new_alert.no_recording_${cannot}`)}</p>`}
    ${problem && html`<${Notice} kind="error">${t(`new_alert.recording_${problem}`)}<//>`}
    ${taken && html`<${Taken} key=${taken.name} taken=${taken} language=${language} onStored=${(file) => (setTaken(null), onStored(file))} onDiscard=${() => setTaken(null)} />`}
  </div>`;
}

/** Begins and ends a recording, and shows how long and how loud it is. onTaken gets {blob, seconds}. */
function Microphone({ onTaken, onProblem }) {
  const taken = (sound) => {
    if (sound.peak < SILENCE_PEAK) onProblem("silent");
    onTaken(sound);
  };
  const { step, level, begin, end } = useRecorder({ onSound: taken, onProblem });
  const beginAnew = () => {
    onProblem(null);
    begin();
  };
  if (step !== "recording") return html`<${Button} busy=${step === "asking"} onClick=${beginAnew}>${t("new_alert.record")}<//>`;
  return html`<${Button} kind="danger" onClick=${end}>${t("new_alert.stop_recording")}<//>
    <meter min="0" max="1" value=${level} aria-label=${t("new_alert.level")}></meter>
    <${Elapsed} />`;
}

/** How long it goes on since this is shown. */
function Elapsed() {
  const [begun] = useState(Date.now());
  const seconds = Math.floor((useNow(0.25) - begun) / 1000);
  return html`<span role="timer">${duration(Math.max(0, seconds))} / ${duration(MAX_RECORDING_SECONDS)}</span>`;
}

/** A sound that has been recorded or chosen, to be listened to, named and stored. */
function Taken({ taken, language, onStored, onDiscard }) {
  const [name, setName] = useState(taken.name);
  const [done, setDone] = useState(0);
  const [url] = useState(() => URL.createObjectURL(taken.blob));
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  const [store, { busy, error }] = useAction(async () => {
    const { body } = await api.upload("api/audio_files", taken.blob, { name, language }, setDone);
    onStored(body);
  });
  return html`<div class="entry">
    <audio controls src=${url} aria-label=${name}></audio>
    <${Field} label=${t("new_alert.audio_name")} name="name" value=${name} error=${error} onInput=${setName} />
    <${Notice} error=${error} shown=${["name"]} />
    <div class="actions">
      <${Button} kind="primary" busy=${busy} onClick=${store}>${t("new_alert.use_recording")}<//>
      <${Button} onClick=${onDiscard}>${t("new_alert.discard_recording")}<//>
      ${busy && html`<progress max="1" value=${done} aria-label=${t("new_alert.sending")}></progress>`}
    </div>
  </div>`;
}
