// Where the values of a JSON text stand: by their JSON pointers (RFC 6901), as the server's errors name them.

/** A JSON text that cannot be read: `line` and `column` from 1, `what` is the kind of the mistake. */
export class JsonProblem extends Error {
  constructor(what, line, column) {
    super(what);
    Object.assign(this, { what, line, column });
  }
}

const BLANKS = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const LITERAL = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/**
 * Reads a text. Returns {value, places}: `places` is a Map from the pointer of each value to the line, from 1, on which
 * its key (or, in a list, it) stands. Throws JsonProblem, with `what` one of: end, string, value, key, colon, comma,
 * extra (a comma too many), after, twice.
 */
export function readJson(text) {
  const places = new Map();
  const scanner = new Scanner(text);
  scanner.blanks();
  scan(scanner, "", places);
  scanner.blanks();
  if (scanner.at < text.length) scanner.fail("after");
  return { value: JSON.parse(text), places };
}

/** The line of a pointer; of one that is not there, that of the nearest object around it. */
export function lineOf(places, pointer) {
  for (let path = pointer; ; path = path.slice(0, path.lastIndexOf("/"))) {
    if (places.has(path)) return places.get(path);
    if (!path.includes("/")) return 1;
  }
}

/** "/steps/a: is wrong" as {pointer, message}; a message without a pointer has the pointer "". */
export function splitError(error) {
  const found = /^((?:\/[^/:\s]*(?:[^/:]*[^/:\s])?)*):\s+(.*)$/s.exec(error);
  return found ? { pointer: found[1], message: found[2] } : { pointer: "", message: error };
}

class Scanner {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.line = 1;
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (!found) return null;
    this.at += found[0].length;
    return found[0];
  }

  blanks() {
    this.line += this.take(BLANKS).split("\n").length - 1;
  }

  skip(character) {
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  fail(what) {
    const column = this.at - this.text.lastIndexOf("\n", this.at - 1);
    throw new JsonProblem(this.at >= this.text.length ? "end" : what, this.line, column);
  }
}

function scan(scanner, pointer, places) {
  if (!places.has(pointer)) places.set(pointer, scanner.line);
  const first = scanner.text[scanner.at];
  if (first === "{") scanEntries(scanner, pointer, places, "}");
  else if (first === "[") scanEntries(scanner, pointer, places, "]");
  else if (first === '"') scanner.take(STRING) ?? scanner.fail("string");
  else scanner.take(LITERAL) ?? scanner.fail("value");
}

/** An object or a list, up to its closing bracket. */
function scanEntries(scanner, pointer, places, closing) {
  scanner.at += 1;
  scanner.blanks();
  if (scanner.skip(closing)) return;
  for (let index = 0; ; index += 1) {
    const path = `${pointer}/${closing === "}" ? scanKey(scanner) : index}`;
    if (places.has(path)) scanner.fail("twice");
    places.set(path, closing === "}" ? scanner.keyLine : scanner.line);
    scan(scanner, path, places);
    scanner.blanks();
    if (scanner.skip(closing)) return;
    if (!scanner.skip(",")) scanner.fail("comma");
    scanner.blanks();
    if (scanner.text[scanner.at] === closing) scanner.fail("extra");
  }
}

/** A key with its colon, as a part of a pointer. */
function scanKey(scanner) {
  scanner.keyLine = scanner.line;
  const key = scanner.take(STRING) ?? scanner.fail("key");
  scanner.blanks();
  if (!scanner.skip(":")) scanner.fail("colon");
  scanner.blanks();
  return JSON.parse(key).replaceAll("~", "~0").replaceAll("/", "~1");
}
