// The number that calls go out from: providers want one with each call, and an account has mostly one.

import { useEffect, useState } from "../../lib/ui.js";
import * as api from "../../lib/api.js";

// So many alerts, the newest first, are looked through.
const MAX_ALERTS = 20;

/** The number from which the newest alerts have called; "" if that is not known. */
export async function lastNumber() {
  const { rows } = await api.newest("api/callouts", {}, 1, MAX_ALERTS).catch(() => ({ rows: [] }));
  return String(rows.map(({ plan }) => plan?.remote_request_params?.from).find(Boolean) ?? "");
}

/** [number, setNumber]: as in the newest alert whose plan has one, until another is given. */
export function useCallerNumber() {
  const [number, setNumber] = useState("");
  useEffect(() => {
    lastNumber().then((found) => setNumber((given) => given || found));
  }, []);
  return [number, setNumber];
}
