// Why a call did not come about, in plain words.

import { hasText, t } from "../../lib/text.js";

// Codes of Twilio's dictionary of errors (https://www.twilio.com/docs/api/errors), which Somleng and SignalWire use too,
// by the text that explains them.
const WHY_BY_CODE = {
  invalid_number: [13223, 13224, 13226, 21201, 21211, 21214, 21217, 21401, 21421, 21614],
  forbidden: [13225, 13227, 21202, 21215, 21216, 21219, 21610, 32205],
  caller: [21205, 21206, 21210, 21212, 21213, 21603, 21606],
  credentials: [20003, 20005, 20008],
  too_many: [20429, 10004, 14107],
  webhook: [11200, 11205, 11206, 11210, 11215, 11220, 11235, 11236, 11237, 11750, 12100, 12200, 12300],
  no_route: [32005, 32009, 32011, 13214],
};
// SIP response codes: RFC 3261, section 21; 607 and 608: RFC 8197, RFC 8688.
const WHY_BY_SIP = {
  invalid_number: [404, 410, 484, 604],
  forbidden: [403, 607, 608],
  declined: [603],
  unavailable: [480, 408, 430],
  busy: [486, 600],
  network: [500, 501, 502, 503, 504, 580],
};
// What this server says itself, by how it begins: scfm/models/call_cancellations.py, call_placement.py and others.
const WHY_BY_MESSAGE = [
  [/^opted out/, "opted_out"],
  [/^not called: not_after/, "too_late"],
  [/^not called: the plan/, "not_now"],
  [/^It is not known whether this call was placed/, "not_known"],
  [/the provider refuses the account/, "credentials"],
];

/** The cause of a call's end as the name of a text `call.why_…`; null where none is known. */
export function causeOf(call) {
  const sip = /^SIP (\d{3})$/.exec(call.error_code ?? "")?.[1];
  const table = sip ? WHY_BY_SIP : WHY_BY_CODE;
  const code = Number(sip ?? call.error_code);
  const byCode = Object.keys(table).find((name) => table[name].includes(code));
  const byMessage = WHY_BY_MESSAGE.find(([pattern]) => pattern.test(call.remote_error_message ?? ""));
  const bySip = !byCode && !sip && /\(SIP (\d{3})\)/.exec(call.remote_error_message ?? "")?.[1];
  if (bySip) return causeOf({ error_code: `SIP ${bySip}` }) ?? byMessage?.[1] ?? null;
  return byCode ?? byMessage?.[1] ?? null;
}

/** Why a call failed or waits, in a sentence; "" where nothing is to be said. */
export function whyOf(call) {
  const cause = causeOf(call);
  if (cause) return t(`call.why_${cause}`);
  if (call.answered_by?.startsWith("machine")) return t("call.why_machine");
  if (call.remote_error_message) return call.remote_error_message;
  const key = `call.why_status_${call.status}`;
  return hasText(key) ? t(key) : "";
}
