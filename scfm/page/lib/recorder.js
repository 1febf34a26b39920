// Records a sentence from the microphone of this device, as a WAV that telephones can carry.
//
//   const recorder = await record({ onLevel: (peak) => …, onEnd: () => … });
//   const { blob, seconds, peak } = await recorder.stop();
//
// The browser's own recorder is used, whatever coding it has; what it made is decoded, mixed down to one channel and
// written as 16-bit PCM at 16 kHz. 5 minutes of that are 9.6 MB, less than the 10 MiB that the server takes.

export const MAX_RECORDING_SECONDS = 300;
const SAMPLE_RATE = 16000;
const WAV_HEADER_BYTES = 44;
// A recording whose loudest sample is below this (full scale is 1) holds no voice.
export const SILENCE_PEAK = 0.01;
const LEVEL_INTERVAL_MS = 100;

/** What stands against a recording. `reason`: insecure, unsupported, denied, no_microphone, in_use, empty. */
export class RecorderError extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

const REASONS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "no_microphone",
  OverconstrainedError: "no_microphone",
  NotReadableError: "in_use",
  AbortError: "in_use",
};

/** Why this browser cannot record, as a reason of RecorderError; null where it can. */
export function obstacle() {
  if (!window.isSecureContext) return "insecure";
  const able = navigator.mediaDevices?.getUserMedia && window.MediaRecorder && window.OfflineAudioContext;
  return able ? null : "unsupported";
}

/**
 * Begins to record. `onLevel` gets the loudness of the moment, 0 to 1, ten times a second; `onEnd` is called when
 * `maxSeconds` are used up, and then `stop` is still to be called. Returns {stop, cancel}. Throws RecorderError.
 */
export async function record({ onLevel, onEnd, maxSeconds = MAX_RECORDING_SECONDS } = {}) {
  const reason = obstacle();
  if (reason) throw new RecorderError(reason);
  const stream = await openMicrophone();
  const release = () => stream.getTracks().forEach((track) => track.stop());
  let recorder;
  try {
    recorder = new MediaRecorder(stream);
  } catch {
    release();
    throw new RecorderError("unsupported");
  }
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const ended = new Promise((resolve) => {
    recorder.onstop = resolve;
  });
  const stopMeter = onLevel ? meter(stream, onLevel) : () => {};
  const finish = () => {
    clearTimeout(timer);
    stopMeter();
    if (recorder.state !== "inactive") recorder.stop();
    release();
    return ended;
  };
  recorder.start(1000);
  const timer = setTimeout(() => {
    finish();
    onEnd?.();
  }, maxSeconds * 1000);
  return {
    async stop() {
      await finish();
      return toWav(new Blob(parts, { type: recorder.mimeType }));
    },
    cancel() {
      finish();
    },
  };
}

async function openMicrophone() {
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
  } catch (error) {
    throw new RecorderError(REASONS[error.name] ?? "unsupported");
  }
}

/** Calls onLevel with the peak of the moment until the function that is returned is called. */
function meter(stream, onLevel) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  const samples = new Float32Array(analyser.fftSize);
  context.createMediaStreamSource(stream).connect(analyser);
  const interval = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    onLevel(Math.min(1, peakOf(samples)));
  }, LEVEL_INTERVAL_MS);
  return () => {
    clearInterval(interval);
    context.close();
  };
}

/** The sound in `blob`, in any coding that the browser knows, as {blob, seconds, peak} with a WAV. */
export async function toWav(blob) {
  const bytes = await blob.arrayBuffer();
  // Decoding in a context of this rate resamples, and one of one channel is mixed down to.
  const context = new OfflineAudioContext(1, 1, SAMPLE_RATE);
  let decoded;
  try {
    decoded = await context.decodeAudioData(bytes);
  } catch {
    throw new RecorderError("empty");
  }
  const samples = mixedDown(decoded);
  if (!samples.length) throw new RecorderError("empty");
  return { blob: wav(samples, SAMPLE_RATE), seconds: samples.length / SAMPLE_RATE, peak: peakOf(samples) };
}

function mixedDown(decoded) {
  const first = decoded.getChannelData(0);
  const count = decoded.numberOfChannels;
  if (count === 1) return first;
  const mixed = new Float32Array(first.length);
  for (let channel = 0; channel < count; channel += 1) {
    const samples = decoded.getChannelData(channel);
    for (let at = 0; at < mixed.length; at += 1) mixed[at] += samples[at] / count;
  }
  return mixed;
}

function peakOf(samples) {
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  return peak;
}

/** A WAV (RIFF, PCM, 16 bits, one channel) of samples from -1 to 1. */
export function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(WAV_HEADER_BYTES + samples.length * 2));
  const text = (at, value) => [...value].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of the format that follows
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true); // bytes a second
  view.setUint16(32, 2, true); // bytes of a sample of all channels
  view.setUint16(34, 16, true); // bits of a sample
  text(36, "data");
  view.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, i) => {
    const clipped = Math.max(-1, Math.min(1, sample));
    view.setInt16(WAV_HEADER_BYTES + i * 2, Math.round(clipped * 32767), true);
  });
  return new Blob([view], { type: "audio/wav" });
}
