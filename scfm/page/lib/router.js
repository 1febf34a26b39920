// Which view an address shows: "#/alerts/5?q=x" → views/alert.js with {params: {id: "5"}, query: {q: "x"}}.

import { allTexts } from "./text.js";

// The first that fits wins. A view is a file in views/, loaded when it is needed; last stands the role without which
// nothing can be done there.
const ROUTES = [
  ["alerts", "alerts"],
  ["alerts/new", "new-alert", "operator"],
  ["drills/new", "new-alert", "operator"],
  ["alerts/:id", "alert"],
  ["drills/:id", "alert"],
  ["contacts", "contacts"],
  ["contacts/import", "import", "operator"],
  ["contacts/:id", "person"],
  ["flows", "flows"],
  ["flows/:id", "flow"],
  ["audio", "audio"],
  ["calls", "calls"],
  ["calls/:id", "call"],
  ["users", "users"],
  ["tokens", "tokens"],
  ["settings", "settings"],
  ["audit", "audit"],
];
const HOME = "alerts";

/** The address of a view, with a query if the last part is an object: href("alerts", 5, {group_by: "metadata.a"}). */
export function href(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(given).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${search && `?${search}`}`;
}

/** Go to the view at href(...parts). */
export const go = (...parts) => void (location.hash = href(...parts));

/** The same view with another query, in place of the address that was. */
export function replaceQuery(query) {
  const { path } = here();
  history.replaceState(null, "", href(...path.split("/").map(decoded), query));
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** What the address names: {view, params, query, path, role}; view is null where there is no such view, role "viewer" where all may. */
export function here() {
  const [written, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const path = written.replace(/\/+$/, "") || HOME;
  const query = Object.fromEntries(new URLSearchParams(search));
  for (const [pattern, view, role = "viewer"] of ROUTES) {
    const params = matched(pattern.split("/"), path.split("/"));
    if (params !== null) return { view, params, query, path, role };
  }
  return { view: null, params: {}, query, path, role: "viewer" };
}

function matched(pattern, parts) {
  if (pattern.length !== parts.length) return null;
  const params = {};
  for (const [index, name] of pattern.entries()) {
    if (name.startsWith(":")) params[name.slice(1)] = decoded(parts[index]);
    else if (name !== parts[index]) return null;
  }
  return params;
}

/** A part of an address; as it is where somebody has written a "%" that encodes nothing. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The component of a view. A server that was upgraded has no files of this version any more: then the page is loaded anew. */
export async function load(view) {
  try {
    const [{ default: component }] = await Promise.all([import(`../views/${view}.js`), view === HOME ? null : allTexts()]);
    return component;
  } catch (error) {
    if (await isOutdated()) {
      location.reload();
      return new Promise(() => {});
    }
    throw error;
  }
}

/** Whether the server has no files of this version of the page. */
async function isOutdated() {
  const answer = await fetch(new URL("../main.js", import.meta.url), { method: "HEAD", cache: "no-store" }).catch(() => null);
  return answer?.status === 404;
}
