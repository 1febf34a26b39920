// Requests to the API. Paths are below the server's root: get("api/callouts", {page: 2}).

import { noticed, pause, ROOT } from "./connection.js";
import { t } from "./text.js";

const RETRY_DELAYS = [500, 2000];
const RETRIED = new Set([502, 503, 504]);
// Milliseconds. So long an answer may take to begin, and again to come whole; so long a file that is sent may stand still,
// and so long the server may take over all of it.
const TIMEOUT = 30_000;
const MAX_STILL = 60_000;
const MAX_READING = 900_000;

/** What keeps a request from being carried out. `status` is 0 when no answer came. */
export class ApiError extends Error {
  constructor(status, body = {}) {
    const known = [400, 403, 404, 409, 413, 415, 422, 429].includes(status) ? status : status === 0 ? 0 : 500;
    super(body?.message ?? t(`shell.error_${known}`));
    this.status = status;
    /** Whether the message is the server's own, in English. */
    this.isForeign = typeof body?.message === "string";
    /** By field, as in a 422: {msisdn: ["is invalid"]}. */
    this.errors = body?.errors ?? {};
    /** What to do about it, by field. */
    this.hints = body?.hints ?? {};
  }
}

const tooSlow = () => Object.assign(new ApiError(0), { message: t("shell.error_slow") });

// What the session gives: its CSRF token; and what it does when the server knows it no more.
const session = {
  token: null,
  renewed: async () => false,
  refreshed: async () => false,
};

/** Told by lib/session.js: see `session` above. */
export const useSession = (parts) => Object.assign(session, parts);

/** Whether there is another session, or token, with which a request that got this status may be sent again. */
async function mended(status, write = true) {
  if (status === 401) return session.renewed();
  // Another tab may have signed in anew: then its token is another one.
  return write && status === 403 && session.refreshed();
}

/** The address of a path, with parameters: {metadata: {a: 1}, ids: [1, 2]} is metadata[a]=1&ids[]=1&ids[]=2. */
export function href(path, params = {}) {
  const url = new URL(path.replace(/^\//, ""), ROOT);
  for (const [name, value] of flattened(params)) url.searchParams.append(name, value);
  return url.href;
}

function* flattened(params, prefix) {
  for (const [key, value] of Object.entries(params)) {
    const name = prefix === undefined ? key : `${prefix}[${key}]`;
    if (value === undefined || value === null || value === "") continue;
    if (Array.isArray(value)) for (const item of value) yield [`${name}[]`, item];
    else if (typeof value === "object") yield* flattened(value, name);
    else yield [name, value];
  }
}

// The server's clock less this device's, in milliseconds, as the last answer had it.
let skew = 0;

/** The time by the server's clock, in milliseconds, to the second. */
export const serverNow = () => Date.now() + skew;

/** What a list's answer says of all that it is a page of; null where it is no list. */
function totalOf(headers) {
  const total = headers.get("Total");
  return total === null ? null : Number(total);
}

/**
 * One request, again if its answer does not come. Resolves to {status, body, total, headers}; rejects with an
 * ApiError. A write has a name, so that it is carried out once however often it is sent.
 */
async function request(method, path, { params, body, key = newKey(), renew = true } = {}) {
  const write = method !== "GET";
  const headers = { Accept: "application/json" };
  if (write) headers["Idempotency-Key"] = key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  for (let attempt = 0; ; attempt++) {
    if (write && session.token) headers["X-CSRF-Token"] = session.token;
    const sent = { method, headers, credentials: "same-origin" };
    if (body !== undefined) sent.body = JSON.stringify(body);
    const { answer, text, late } = await exchanged(href(path, params), sent);
    // Who has waited so long is told so, and may ask again.
    if (late) throw tooSlow();
    const again = answer === null || RETRIED.has(answer.status);
    if (again && method !== "DELETE" && attempt < RETRY_DELAYS.length) {
      await pause(RETRY_DELAYS[attempt]);
      continue;
    }
    noticed(!again);
    if (answer === null) throw new ApiError(0);
    const { status, ok } = answer;
    skew = (Date.parse(answer.headers.get("Date")) || Date.now()) - Date.now();
    const found = { status, body: content(answer, text), total: totalOf(answer.headers), headers: answer.headers };
    if (ok) return found;
    if (renew && (await mended(status, write))) return request(method, path, { params, body, key, renew: false });
    throw new ApiError(status, found.body);
  }
}

/** What comes of one attempt: {answer, text}, or {answer: null, late}, where `late` is whether it took too long. */
async function exchanged(address, sent) {
  const aborting = new AbortController();
  let timer = 0;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => aborting.abort(), TIMEOUT);
  };
  try {
    wait();
    const answer = await fetch(address, { ...sent, signal: aborting.signal });
    wait();
    return { answer, text: await answer.text(), late: false };
  } catch {
    return { answer: null, text: "", late: aborting.signal.aborted };
  } finally {
    clearTimeout(timer);
  }
}

function content(answer, text) {
  if (!(answer.headers.get("Content-Type") ?? "").includes("json")) return text || null;
  return text ? JSON.parse(text) : null;
}

// crypto.randomUUID is there over https alone.
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const get = (path, params, options) => request("GET", path, { params, ...options });

/** A page of a list with the newest first, which the API has last: {rows, total}. Pages are counted from 1. */
export async function newest(path, params = {}, page = 1, perPage = 25) {
  const first = await get(path, { ...params, per_page: perPage });
  const { total } = first;
  const begin = Math.max(total - page * perPage, 0);
  const end = Math.max(total - (page - 1) * perPage, 0);
  const numbers = new Set([Math.floor(begin / perPage) + 1, Math.max(Math.ceil(end / perPage), 1)]);
  const pages = await Promise.all([...numbers].map((number) => (number === 1 ? first : get(path, { ...params, per_page: perPage, page: number }))));
  const skipped = begin % perPage;
  return { rows: pages.flatMap(({ body }) => body).slice(skipped, skipped + end - begin).reverse(), total };
}

export const post = (path, body, options) => request("POST", path, { body, ...options });
export const patch = (path, body, options) => request("PATCH", path, { body, ...options });
export const remove = (path, body, options) => request("DELETE", path, { body, ...options });

/** Send a file as the field `file` of a form, with `params` in the query; onProgress gets a number from 0 to 1. */
export function upload(path, file, params = {}, onProgress = () => {}) {
  const form = new FormData();
  form.append("file", file, file.name ?? "file");
  return send(path, form, params, { onProgress });
}

/** Send a body as it is, of the media type `type`, with `params` in the query; `signal` ends that. */
export function send(path, body, params = {}, { type, onProgress = () => {}, signal } = {}) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", href(path, params));
    sending.setRequestHeader("Accept", "application/json");
    sending.setRequestHeader("Idempotency-Key", newKey());
    if (type) sending.setRequestHeader("Content-Type", type);
    if (session.token) sending.setRequestHeader("X-CSRF-Token", session.token);
    let timer = 0;
    const wait = (milliseconds) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        reject(tooSlow());
        sending.abort();
      }, milliseconds);
    };
    wait(MAX_STILL);
    sending.upload.onprogress = ({ loaded, total }) => {
      wait(MAX_STILL);
      onProgress(total ? loaded / total : 0);
    };
    sending.upload.onload = () => wait(MAX_READING);
    sending.onloadend = () => clearTimeout(timer);
    sending.onerror = () => reject(new ApiError(0));
    sending.onabort = () => reject(signal?.reason);
    sending.onload = async () => {
      const { status, responseText } = sending;
      const json = (sending.getResponseHeader("Content-Type") ?? "").includes("json");
      const answer = json && responseText ? JSON.parse(responseText) : null;
      if (status < 300) resolve({ status, body: answer, total: null, headers: new Headers() });
      else if (await mended(status)) send(path, body, params, { type, onProgress, signal }).then(resolve, reject);
      else reject(new ApiError(status, answer));
    };
    signal?.addEventListener("abort", () => sending.abort());
    sending.send(body);
  });
}
