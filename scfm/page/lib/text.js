// Texts, numbers and times in the language that was chosen. Texts are in texts/LANGUAGE.json, one section a
// view; the server sends those that are needed at first, and the rest, apart.

export const LANGUAGES = { en: "English", fr: "Français", km: "ខ្មែរ" };
const STORED = "scfm.language";
// Milliseconds.
const TIMEOUT = 30_000;

let current = "en";
let texts = {};
let plurals = new Intl.PluralRules("en");
// The promise of all texts, once they have been asked for.
let complete = null;
const listeners = new Set();

/** Be told when another language was chosen. */
export const onLanguage = (listener) => void listeners.add(listener);

/** The language in which the page is, such as "fr". */
export const language = () => current;

/** The language that was chosen before, else the one in which the server has sent the page. */
export function firstLanguage() {
  const chosen = localStorage.getItem(STORED);
  return chosen in LANGUAGES ? chosen : document.documentElement.lang;
}

/**
 * Load the texts of a language that are needed at first, and keep it as the one that was chosen if `chosen`. Rejects if
 * they do not come.
 */
export async function setLanguage(name, chosen = true) {
  const found = await fetched(name, "first");
  if (complete) Object.assign(found, await fetched(name, "rest"));
  texts = found;
  current = name;
  plurals = new Intl.PluralRules(name);
  document.documentElement.lang = name;
  if (chosen) localStorage.setItem(STORED, name);
  for (const listener of listeners) listener();
}

/** Resolves when all texts are there, of the chosen language and of any that is chosen later. */
export function allTexts() {
  // Another language, which may be chosen before they come, gets its own: see setLanguage.
  const first = texts;
  complete ??= fetched(current, "rest").then(
    (rest) => void Object.assign(first, rest),
    (error) => {
      complete = null;
      throw error;
    },
  );
  return complete;
}

async function fetched(name, half) {
  const answer = await fetch(new URL(`../texts/${name}/${half}.json`, import.meta.url), { signal: AbortSignal.timeout(TIMEOUT) });
  if (!answer.ok) throw new Error(`texts of ${name}: ${answer.status}`);
  return answer.json();
}

/**
 * The text at "section.key", with {name} replaced by `values.name`; numbers are written as the language does.
 * A text of several forms ({"one": …, "other": …}) is that of `values.count`. A key that there is not is shown itself.
 */
export function t(key, values = {}) {
  const [section, name] = key.split(".");
  const found = texts[section]?.[name];
  if (found === undefined) return key;
  const text = typeof found === "string" ? found : (found[plurals.select(values.count)] ?? found.other);
  return text.replace(/\{(\w+)\}/g, (place, word) => {
    const value = values[word];
    if (value === undefined || value === null) return place;
    return typeof value === "number" ? number(value) : String(value);
  });
}

/** Whether there is a text at "section.key": for words of the API that may be newer than this page. */
export const hasText = (key) => key.split(".").reduce((at, part) => at?.[part], texts) !== undefined;

/**
 * What the server says of a field, such as "can't be blank", or "/retry: must be at most 10" of a place in it, in the chosen
 * language; as it is where there is no such text. Its name is what is said without figures, of which the first is {n}.
 */
export function message(said) {
  if (typeof said !== "string") return JSON.stringify(said);
  const [, place, words] = /^((?:\/[^:\s]*: )?)(.*)$/s.exec(said);
  const name = words.toLowerCase().replaceAll("'", "").replace(/[^a-z]+/g, "_").replace(/^_|_$/g, "");
  const text = texts.message?.[name];
  return text === undefined ? said : place + text.replace("{n}", () => /\d[\d.,]*/.exec(words)?.[0] ?? "");
}

export const number = (value, options) => new Intl.NumberFormat(current, options).format(value);

/** A share, from 0 to 1, as "33.3%"; what is not the whole is not rounded to it. */
export const percent = (share) => number(share < 1 ? Math.min(share, 0.999) : share, { style: "percent", maximumFractionDigits: 1 });

/** A zone by its city, as people name it: "Phnom Penh" for Asia/Phnom_Penh. Without a zone: this device's. */
export function zoneName(zone) {
  const name = zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
  return name.slice(name.lastIndexOf("/") + 1).replaceAll("_", " ");
}

function sameDay(one, other, zone) {
  const day = new Intl.DateTimeFormat("en", { timeZone: zone, dateStyle: "short" });
  return day.format(one) === day.format(other);
}

/** A time of the API without its zone, for tables that name it once: "02:40", or "28 Nov, 02:40" of another day. */
export function clock(iso, { zone, seconds = false } = {}) {
  if (!iso) return "";
  const at = new Date(iso);
  const options = { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (seconds) options.second = "2-digit";
  if (!sameDay(at, new Date(), zone)) Object.assign(options, { day: "numeric", month: "short" });
  if (Math.abs(at - Date.now()) > 180 * 86_400_000) options.year = "numeric";
  return new Intl.DateTimeFormat(current, options).format(at);
}

/** A time of the API in the zone of this device, or in `zone`, which is named: "02:40 (Phnom Penh)". "" for null. */
export const time = (iso, options = {}) => (iso ? `${clock(iso, options)} (${zoneName(options.zone)})` : "");

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

/** How long ago a time of the API was, or how long until then: "3 seconds ago", "in 2 hours". "" for null. */
export function ago(iso, now = Date.now()) {
  if (!iso) return "";
  const seconds = Math.round((new Date(iso) - now) / 1000);
  const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? UNITS[3];
  return new Intl.RelativeTimeFormat(current, { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
}

/** A length of time by its two largest units: "1 hr 5 min". "" for null. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  let rest = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of UNITS) {
    const count = Math.trunc(rest / size);
    rest -= count * size;
    if (count) parts.push(number(count, { style: "unit", unit, unitDisplay: "short" }));
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || number(0, { style: "unit", unit: "second", unitDisplay: "short" });
}
