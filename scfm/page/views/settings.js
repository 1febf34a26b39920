// The account's settings: whether calls are held, the provider, the limits; and a call that tries them.

import { html, useData, Busy, Notice, Page, Section } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { may } from "../lib/session.js";
import { t } from "../lib/text.js";
import { Accounts, ServerHold } from "./settings/server.js";
import { Hold } from "./settings/hold.js";
import { Limits } from "./settings/limits.js";
import { Provider } from "./settings/provider.js";
import { TestCall } from "./settings/test_call.js";
import "./parts/style.js";

export default function Settings() {
  const { data, error, reload } = useData(() => api.get("api/account"), []);
  const account = data?.body;
  const superAdmin = account?.permissions.includes("super_admin") && may("admin");
  return html`<${Page} title=${t("settings.title")}>
    <${Notice} error=${error} />
    ${!account && !error && html`<${Busy} />`}
    ${account &&
    html`<${Section} title=${t("settings.hold_title")}>
        <${Hold} held=${account.calls_held_at} path="api/account/account_events" whose="account" reload=${reload} />
      <//>
      ${may("admin") && html`<${Provider} account=${account} reload=${reload} /><${Limits} account=${account} reload=${reload} />`}
      ${may("operator") && html`<${TestCall} account=${account} />`}
      ${superAdmin && html`<${ServerHold} /><${Accounts} />`}`}
  <//>`;
}
