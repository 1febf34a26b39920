// The sentences of a preflight in the reader's language. One that is not known here is shown as the server says it.

import { language, t, time } from "../../lib/text.js";

const TIME = "(\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z)";

// By the key of the text: the sentence, with a group for each of its values; a value that is a time is written as one.
const KNOWN = [
  ["audience_excluded", /^the audience is empty: all who fit, (?<count>\d+), are excluded/],
  ["audience_empty", /^the audience is empty/],
  ["not_after_past", new RegExp(`^not_after, (?<at>${TIME}), is in the past`)],
  ["window_never_opens", new RegExp(`^the window does not open before not_after, (?<at>${TIME})`)],
  ["flow_unknown", /^(?<name>.*) is not registered: choose another/],
  ["audio_missing", /^the callout has nothing to say: there is no audio file '(?<name>.*)':/],
  ["nothing_to_say", /^the callout has nothing to say/],
  ["no_credentials", /^there are no credentials for (?<name>[^:]*):/],
  ["window_closed", new RegExp(`^the window is closed now: it opens at (?<at>${TIME})`)],
  ["not_finished", new RegExp(`^it is not finished before not_after, (?<at>${TIME}): (?<count>\\d+) people are not called`)],
  ["not_all_attempts", new RegExp(`^it is not finished before not_after, (?<at>${TIME}): not all`)],
  ["endless", /^it does not end within ten years/],
  ["first_attempts_long", /^the first attempts alone take (?<lasts>[^,]*),/],
  ["account_held", /^the calls of the account are held/],
  ["server_held", /^the calls of the whole server are held/],
  ["queued_before", /^(?<count>\d+) calls of the account are queued already/],
  ["provider_slow", /^(?<name>.*) places (?<pace>[\d.e-]+) call per second unless/],
  ["example_flow", /^people hear CallFlowLogic::Application/],
  ["address_local", /^(?<name>\S+) is local: /],
  ["no_from", /^remote_request_params has no from/],
  ["again_without_acknowledge", /^nobody is called again for not_acknowledged/],
  ["emergency_opted_out", /^it is an emergency: (?<count>\d+) who have opted out/],
];

/** The sentence for the reader. */
export function finding(sentence) {
  for (const [key, pattern] of KNOWN) {
    const found = pattern.exec(sentence);
    if (!found) continue;
    const { at, count, ...others } = found.groups ?? {};
    return t(`new_alert.finding_${key}`, { ...others, ...(at && { at: time(at) }), ...(count && { count: Number(count) }) });
  }
  return language() === "en" ? sentence[0].toUpperCase() + sentence.slice(1) : sentence;
}
