// Records a sentence here, lets it be heard, and gives it on: for any view that needs a sound.

import { html, useEffect, useState, Button, Notice } from "../../lib/ui.js";
import { MAX_RECORDING_SECONDS, SILENCE_PEAK, obstacle } from "../../lib/recorder.js";
import { duration, t } from "../../lib/text.js";
import { useRecorder } from "../parts/use_recorder.js";

/** onSound gets {blob, seconds} of a WAV when something was recorded, and null when it is thrown away. */
export function Microphone({ onSound }) {
  const [sound, setSound] = useState(null);
  const [problem, setProblem] = useState(null);
  const taken = (made) => {
    setSound(made);
    onSound(made);
  };
  const { step, level, begin, end } = useRecorder({ onSound: taken, onProblem: setProblem });
  const beginAnew = () => {
    setProblem(null);
    taken(null);
    begin();
  };
  const reason = problem ?? obstacle();
  return html`<div class="microphone">
    ${reason && html`<${Notice} kind="error">${t(`audio.cannot_${reason}`)}<//>`}
    ${step === "asking" && html`<p role="status">${t("audio.allow_microphone")}</p>`}
    ${step === "recording" && html`<${Running} level=${level} onStop=${end} />`}
    ${sound && html`<${Recorded} sound=${sound} />`}
    ${step === "idle" &&
    html`<${Button} kind=${sound ? "" : "primary"} onClick=${beginAnew} disabled=${obstacle() !== null}>
      ${t(sound ? "audio.record_again" : "audio.record_here")}
    <//>`}
  </div>`;
}

function Running({ level, onStop }) {
  const [begun] = useState(Date.now());
  const seconds = Math.min(MAX_RECORDING_SECONDS, Math.floor((Date.now() - begun) / 1000));
  return html`<p role="status">${t("audio.speak_now")}</p>
    <p><meter min="0" max="1" value=${level} aria-label=${t("audio.loudness")}></meter> ${duration(seconds)}</p>
    <${Button} kind="danger" onClick=${onStop}>${t("audio.stop")}<//>`;
}

function Recorded({ sound }) {
  const url = useObjectUrl(sound.blob);
  return html`<p role="status">${t("audio.recorded", { length: duration(sound.seconds) })}</p>
    ${sound.peak < SILENCE_PEAK && html`<${Notice} kind="error">${t("audio.silent")}<//>`}
    <audio controls src=${url} aria-label=${t("audio.listen")}></audio>`;
}

/** An address for a blob, as long as it is shown. */
function useObjectUrl(blob) {
  const [url, setUrl] = useState(null);
  useEffect(() => {
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return url;
}
