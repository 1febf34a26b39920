// In place of a view in which who is signed in could do nothing: which role it takes.

import { html, Notice, Page } from "../lib/ui.js";
import { href } from "../lib/router.js";
import { session } from "../lib/session.js";
import { t } from "../lib/text.js";

/** `role` is the least that would do. */
export default function Denied({ role }) {
  const roles = { role: t(`users.role_${role}`), own: t(`users.role_${session.user.role ?? "admin"}`) };
  return html`<${Page} title=${t("shell.denied")}>
    <${Notice} kind="warning">
      <p>${t("shell.needs_role", roles)}</p>
      <p><a href=${href("alerts")}>${t("shell.to_alerts")}</a></p>
    <//>
  <//>`;
}
