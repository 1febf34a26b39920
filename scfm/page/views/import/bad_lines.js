// The bad lines of an import as a file, to be mended in a spreadsheet.

import { message, t } from "../../lib/text.js";

// What a spreadsheet takes for a formula: https://owasp.org/www-community/attacks/CSV_Injection
const FORMULA = /^[=+\-@\t\r]/;
const MARK = "\ufeff";

/** The rows of a CSV that a spreadsheet opens as text: of ERRORS {line, column, value, reason}. NUMBER names the column of numbers. */
export function badLines(errors, number) {
  const head = [t("import.line"), t("import.column"), t("import.value"), t("import.reason")];
  const rows = errors.map(({ line, column, value, reason }) => [line, nameOf(column, number), value ?? "", message(reason)]);
  return MARK + [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** What people call the column of a bad line. */
export const nameOf = (column, number) => (column === "msisdn" ? (number ?? column) : (column ?? t("import.whole_line")));

function cell(value) {
  const text = String(value);
  return `"${(FORMULA.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

/** Save a text as a file of this device. */
export function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
