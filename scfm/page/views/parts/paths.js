// Paths in the contacts' metadata, as the API writes them: "metadata.address.city"; a backslash takes the next
// character as it is.

const PREFIX = "metadata.";

/** The names that a path is made of: ["address", "city"]. */
export function namesOf(path) {
  const names = [""];
  for (let at = PREFIX.length; at < path.length; at++) {
    if (path[at] === ".") names.push("");
    else names[names.length - 1] += path[at] === "\\" ? (path[++at] ?? "") : path[at];
  }
  return names;
}

export const pathOf = (names) => PREFIX + names.map((name) => name.replace(/[\\.]|^\s|\s$/g, "\\$&")).join(".");

/** What people call a path: "address › city". */
export const labelOf = (path) => namesOf(path).join(" › ");

/** The metadata of a filter: nested objects. `conditions` are {path, value}; a value is a text, or null for none. */
export function nested(conditions) {
  const metadata = {};
  for (const { path, value } of conditions) {
    const names = namesOf(path);
    let inner = metadata;
    for (const name of names.slice(0, -1)) {
      if (typeof inner[name] !== "object" || inner[name] === null) inner[name] = {};
      inner = inner[name];
    }
    inner[names.at(-1)] = value;
  }
  return metadata;
}

/** The conditions that such metadata stands for. */
export function conditionsOf(metadata, outer = []) {
  return Object.entries(metadata ?? {}).flatMap(([name, value]) => {
    const names = [...outer, name];
    if (value !== null && typeof value === "object") return conditionsOf(value, names);
    return [{ path: pathOf(names), value: value === null ? null : String(value) }];
  });
}

/** The query for contacts that fit: a name without "=" finds those without a value, which parameters cannot say. */
export function queryOf(filter) {
  const pairs = (value, name) => {
    if (value !== null && typeof value === "object") return Object.entries(value).flatMap(([key, inner]) => pairs(inner, `${name}[${key}]`));
    return [value === null ? encodeURIComponent(name) : `${encodeURIComponent(name)}=${encodeURIComponent(value)}`];
  };
  return pairs(filter, "q").join("&");
}
