// The names of what bounds the pace of calls.

import { hasText, t } from "../../lib/text.js";

/** A limit, "calls_per_second of the account", in the reader's language; one that is newer than this page as the server has it. */
export function limitName(limit) {
  const key = `alert.limit_${limit.replaceAll(" ", "_")}`;
  return hasText(key) ? t(key) : limit;
}
