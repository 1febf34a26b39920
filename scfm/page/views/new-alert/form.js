// What the form holds, and the callout that it stands for.

import { conditionsOf, nested } from "../parts/paths.js";

export const MESSAGE_FLOW = "CallFlowLogic::Message";
export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
export const RETRIED = ["busy", "not_answered", "failed", "errored", "not_acknowledged"];
const EVERY_DAY = DAYS;
const MINUTE = 60;

const deviceZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** A form that nobody has filled in. */
export function emptyForm(drill = false) {
  return {
    title: "",
    drill,
    conditions: [],
    // An audience that this page cannot change, such as that of a follow-up; and filters beside metadata.
    fixedAudience: null,
    otherFilters: {},
    kind: "sound",
    texts: [{ language: "", text: "" }],
    sounds: [],
    flow: "",
    startsAt: "",
    notAfter: "",
    window: null,
    attempts: 3,
    delays: [5 * MINUTE, 15 * MINUTE],
    on: ["busy", "not_answered", "failed"],
    from: "",
    answeringMachine: "play",
    acknowledge: false,
    priority: 5,
    callsPerSecond: "",
    callsInFlight: "",
    emergency: null,
    // What the plan and the metadata hold beside that.
    otherPlan: {},
    otherParams: {},
    otherMetadata: {},
  };
}

export const defaultWindow = () => ({ time_zone: deviceZone(), from: "07:00", to: "20:00", days: EVERY_DAY, except: [] });

/** Whether there is something that people would hear. */
export function saysSomething(form) {
  if (form.kind === "flow") return form.flow !== "";
  if (form.kind === "sound") return form.sounds.some(({ name }) => name);
  return form.texts.some(({ text }) => text.trim());
}

/** Whether one of the entries before has the same language: then that is the one that people hear. */
export function isTwice(entries, index) {
  return entries.slice(0, index).some(({ language }) => language.trim() === entries[index].language.trim());
}

/** Texts by language, as CallFlowLogic::Message takes them: one text where there is no language. */
const languageMap = (entries, key) => {
  const filled = entries.filter((entry) => entry[key].trim()).filter((_, index, all) => !isTwice(all, index));
  if (filled.length === 1 && !filled[0].language.trim()) return filled[0][key];
  // The first without a language is for everybody else; a map must name it all the same.
  return Object.fromEntries(filled.map((entry) => [entry.language.trim() || "default", entry[key]]));
};

function entriesOf(value, key) {
  if (typeof value === "string") return [{ language: "", [key]: value }];
  return Object.entries(value ?? {}).map(([language, text]) => ({ language: language === "default" ? "" : language, [key]: String(text) }));
}

const moment = (local) => (local ? new Date(local).toISOString() : null);
const number = (text) => (String(text).trim() === "" ? null : Number(text));

/** A time of the API as an input of the type datetime-local has it, in the zone of this device. */
export function localTime(iso) {
  if (!iso) return "";
  const at = new Date(iso);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function audienceOf(form) {
  if (form.fixedAudience) return form.fixedAudience;
  const filter = filterOf(form);
  return Object.keys(filter).length ? { contact_filter_params: filter } : {};
}

/** The path of a condition whose value is not chosen yet; undefined where there is none. Without it more people are called. */
export const unfinishedPath = (form) => form.conditions.find(({ value }) => value === undefined)?.path;

/** The filter of the contacts that are to be called, as `q` has it. */
export function filterOf(form) {
  const complete = form.conditions.filter(({ path, value }) => path && value !== undefined);
  return { ...form.otherFilters, ...(complete.length ? { metadata: nested(complete) } : {}) };
}

/** The callout that the form stands for, as the API takes it. */
export function toCallout(form) {
  const metadata = { ...form.otherMetadata };
  if (form.title.trim()) metadata.name = form.title.trim();
  if (form.drill) metadata.drill = true;
  if (form.kind === "text") metadata.message = languageMap(form.texts, "text");
  if (form.kind === "sound") metadata.audio = languageMap(form.sounds, "name");
  const params = { ...form.otherParams };
  if (form.from.trim()) params.from = form.from.trim();
  return {
    call_flow_logic: form.kind === "flow" ? form.flow : MESSAGE_FLOW,
    metadata,
    plan: {
      ...form.otherPlan,
      audience: audienceOf(form),
      remote_request_params: params,
      retry: { max_attempts: Number(form.attempts), delays: form.delays.map(Number), on: form.on },
      window: form.window,
      starts_at: moment(form.startsAt),
      not_after: moment(form.notAfter),
      priority: Number(form.priority),
      calls_per_second: number(form.callsPerSecond),
      calls_in_flight: number(form.callsInFlight),
      answering_machine: form.answeringMachine,
      acknowledge: form.acknowledge,
      emergency: form.emergency,
    },
  };
}

/** The form that stands for a callout of the API. */
export function fromCallout({ call_flow_logic: flow, metadata, plan }) {
  const { title, name, drill, message, audio, ...otherMetadata } = metadata;
  const form = { ...emptyForm(drill === true), title: String(title ?? name ?? ""), otherMetadata };
  if (flow && flow !== MESSAGE_FLOW) Object.assign(form, { kind: "flow", flow, otherMetadata: { ...otherMetadata, ...(message && { message }), ...(audio && { audio }) } });
  else if (audio) Object.assign(form, { kind: "sound", sounds: entriesOf(audio, "name") });
  else if (message) Object.assign(form, { kind: "text", texts: entriesOf(message, "text") });
  if (!plan) return form;
  const { audience, remote_request_params: params, retry, window, starts_at, not_after, priority, calls_per_second, calls_in_flight, answering_machine, acknowledge, emergency, ...otherPlan } = plan;
  const { from = "", ...otherParams } = params;
  const { metadata: wanted, ...otherFilters } = audience.contact_filter_params ?? {};
  return {
    ...form,
    conditions: conditionsOf(wanted),
    fixedAudience: audience.follow_up ? audience : null,
    otherFilters,
    startsAt: localTime(starts_at),
    notAfter: localTime(not_after),
    window,
    attempts: retry.max_attempts,
    delays: retry.delays,
    on: retry.on,
    from: String(from),
    answeringMachine: answering_machine,
    acknowledge,
    priority,
    callsPerSecond: calls_per_second ?? "",
    callsInFlight: calls_in_flight ?? "",
    emergency,
    otherPlan,
    otherParams,
  };
}
