// The name of a country in the reader's language.

import { language } from "../../lib/text.js";

/** "Cambodia" of the code "kh"; null for what is no country's code. */
export function countryName(code) {
  if (!/^[a-z]{2}$/i.test(code)) return null;
  const name = new Intl.DisplayNames(language(), { type: "region", fallback: "none" }).of(code.toUpperCase());
  return name ?? null;
}
