// A rehearsal's transcript, line by line, in the words of the reader. See scfm/twiml/rehearsal_text.py.

// Of each line that is shown: who does it (phone, person, note, warning, problem), and the text that says it.
const LINES = [
  [/^says: (.*)$/s, "phone", "says"],
  [/^plays: (.*)$/s, "phone", "plays"],
  [/^waits (\d+) s$/, "phone", "pauses"],
  [/^waits for an answer$/, "phone", "asks"],
  [/^records$/, "phone", "records"],
  [/^hangs up$/, "phone", "hangs_up"],
  [/^rejects the call$/, "phone", "rejects"],
  [/^> presses (.*)$/s, "person", "presses"],
  [/^> says: (.*)$/s, "person", "speaks"],
  [/^> stays silent$/, "person", "silent"],
  [/^> speaks for (.*) s$/, "person", "recorded"],
  [/^> hangs up$/, "person", "hung_up"],
  [/^notes: acknowledged$/, "note", "acknowledged"],
  [/^notes: opted out$/, "note", "opted_out"],
  [/^notes: (.*)$/s, "note", "answer"],
  [/^\((.*)\)$/s, "warning", "warning"],
  [/^PROBLEM: (.*)$/s, "problem", "problem"],
];

/**
 * The lines of a transcript as [{who, key, text}]. `key` names a text of `flow.heard`; `text` is what stands in it. What
 * the provider sends (`Digits: 2`) and addresses at which the call goes on are left out.
 */
export function heardLines(transcript) {
  return transcript.flatMap((line) => {
    for (const [pattern, who, key] of LINES) {
      const found = pattern.exec(line);
      if (found) return [{ who, key, text: found[1] ?? "" }];
    }
    return [];
  });
}

/**
 * What the phone waits for after the actions `callee`: null where the call is over, else {keys, record, speech}. `keys`
 * is the number of keys that are taken at most (0: any number, up to the finish key), or null where none are.
 */
export function awaited(rehearsal, callee) {
  const last = callee.at(-1);
  const hungUp = rehearsal.transcript.at(-1) !== "> hangs up" || last?.hang_up;
  if (hungUp) return null;
  const document = new DOMParser().parseFromString(rehearsal.turns.at(-1).twiml, "text/xml");
  const asking = rehearsal.transcript.at(-2);
  if (asking === "records") return { keys: 0, record: true, speech: false };
  const gather = document.querySelector("Gather");
  return {
    keys: Number(gather?.getAttribute("numDigits") ?? 0),
    finish: gather?.getAttribute("finishOnKey") ?? "#",
    record: false,
    speech: (gather?.getAttribute("input") ?? "dtmf").includes("speech"),
  };
}
