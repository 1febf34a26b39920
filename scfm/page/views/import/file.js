// What a file on this device is, as far as the server must be told: its media type and its charset.

const XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const JSON_LINES = "application/x-ndjson";
const CSV = "text/csv";
const TYPES = { xlsx: XLSX, jsonl: JSON_LINES, ndjson: JSON_LINES };

// Bytes: what the server takes, and what is looked at here.
export const MAX_FILE = 2 ** 30;
export const MAX_WORKBOOK = 64 * 2 ** 20;
const LOOKED_AT = 2 ** 20;
const ZIP = [0x50, 0x4b, 3, 4];

export const CHARSETS = ["utf-8", "windows-1252", "utf-16le", "utf-16be"];

const ending = (name) => /\.([^.]*)$/.exec(name)?.[1].toLowerCase() ?? "";

/** {type, charset, text}: `charset` is null where the file itself tells; `text` is whether it is text at all. */
export async function kindOf(file) {
  const bytes = new Uint8Array(await file.slice(0, LOOKED_AT).arrayBuffer());
  const zipped = ZIP.every((byte, at) => bytes[at] === byte);
  const type = zipped ? XLSX : (TYPES[ending(file.name)] ?? CSV);
  if (zipped || type === XLSX) return { type: zipped ? XLSX : CSV, charset: null, text: false };
  return { type, charset: charsetOf(bytes, bytes.length < file.size), text: true };
}

/** The charset of text without a byte order mark. */
function charsetOf(bytes, cut) {
  const marked = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff) || (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf);
  if (marked) return null;
  const zeros = [0, 0];
  for (let at = 0; at < Math.min(bytes.length, 4096); at++) if (bytes[at] === 0) zeros[at % 2]++;
  if (zeros[1] > 64 && zeros[1] > 4 * zeros[0]) return "utf-16le";
  if (zeros[0] > 64 && zeros[0] > 4 * zeros[1]) return "utf-16be";
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: cut });
    return null;
  } catch {
    return "windows-1252";
  }
}

/** The Content-Type of such a file. */
export const contentType = ({ type, charset }) => (charset ? `${type}; charset=${charset}` : type);

/** A name for the list that the file is: its own without the ending. */
export const listName = (file) => file.name.replace(/\.[^.]*$/, "").slice(0, 100);

export const isTooLarge = (file, kind) => file.size > (kind.type === XLSX ? MAX_WORKBOOK : MAX_FILE);
export const isWorkbook = (kind) => kind.type === XLSX;
