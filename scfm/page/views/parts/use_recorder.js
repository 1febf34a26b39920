// Recording from the microphone in a view: begun and ended by buttons, and given up when the view is left.

import { useEffect, useRef, useState } from "../../lib/ui.js";
import { record } from "../../lib/recorder.js";

/**
 * {step, level, begin, end}: `step` is "idle", "asking" (for the microphone) or "recording", `level` the loudness of the
 * moment, 0 to 1. onSound gets {blob, seconds, peak} of a WAV; onProblem why there is none, a reason of RecorderError.
 */
export function useRecorder({ onSound, onProblem }) {
  const [step, setStep] = useState("idle");
  const [level, setLevel] = useState(0);
  const recorder = useRef(null);
  const asking = useRef(false);
  const left = useRef(false);
  useEffect(
    () => () => {
      left.current = true;
      recorder.current?.cancel();
    },
    [],
  );
  const fail = (error) => {
    setStep("idle");
    onProblem(error.reason ?? "unsupported");
  };
  const begin = async () => {
    // Once at a time: the browser may ask whether the microphone may be used, and somebody press again meanwhile.
    if (asking.current) return;
    asking.current = true;
    setStep("asking");
    try {
      recorder.current = await record({ onLevel: setLevel, onEnd: end });
    } catch (error) {
      return fail(error);
    } finally {
      asking.current = false;
    }
    // Who has gone away meanwhile is not listened to.
    if (left.current) return void recorder.current.cancel();
    setLevel(0);
    setStep("recording");
  };
  async function end() {
    const stopped = recorder.current;
    recorder.current = null;
    if (!stopped) return;
    try {
      const sound = await stopped.stop();
      setStep("idle");
      onSound(sound);
    } catch (error) {
      fail(error);
    }
  }
  return { step, level, begin, end };
}
