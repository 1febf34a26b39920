// The name of a language in the reader's own.

import { language } from "../../lib/text.js";

/** "Khmer (km)" of the code "km"; what is no code is given back. */
export function languageName(code) {
  try {
    const name = new Intl.DisplayNames(language(), { type: "language", fallback: "none" }).of(code);
    return name ? `${name} (${code})` : code;
  } catch {
    return code;
  }
}
