// A new alert: who, what they hear, when and how often; beside it what that comes to, and the last step.

import "./new-alert/style.js";
import { html, useState, Page, Section, Button, Checkbox, Confirm, Field, Notice, Busy } from "../lib/ui.js";
import { go, here, href } from "../lib/router.js";
import { t } from "../lib/text.js";
import { Audience } from "./new-alert/audience.js";
import { Check } from "./new-alert/check.js";
import { useDraft } from "./new-alert/draft.js";
import { emptyForm } from "./new-alert/form.js";
import { Message } from "./new-alert/message.js";
import { More } from "./new-alert/more.js";
import { conditionsOf } from "./parts/paths.js";
import { problemsAt } from "./new-alert/problems.js";
import { Start } from "./new-alert/start.js";
import { Attempts, Timing } from "./new-alert/timing.js";

/** `query.id` is the draft's; without one `query.metadata` may be a filter that the form begins with. */
export default function NewAlert({ query }) {
  const drill = here().path.startsWith("drills");
  const [begin] = useState(() => beginning(query, drill));
  const draft = useDraft({ id: query.id && Number(query.id), drill, begin });
  const { form, change, status, error } = draft;
  const [discarding, setDiscarding] = useState(false);
  const title = t((form?.drill ?? drill) ? "new_alert.title_drill" : "new_alert.title");
  if (status === "gone") {
    return html`<${Page} title=${title}><${Notice} kind="error">${t("new_alert.gone")} <a href=${href("alerts")}>${t("shell.to_alerts")}</a><//><//>`;
  }
  if (status === "submitted") {
    const address = href(form.drill ? "drills" : "alerts", query.id);
    return html`<${Page} title=${title} drill=${form.drill}><${Notice} kind="warning">${t("new_alert.submitted")} <a href=${address}>${t("new_alert.to_alert")}</a><//><//>`;
  }
  if (form === null) return html`<${Page} title=${title}>${error ? html`<${Notice} error=${error} />` : html`<${Busy} />`}<//>`;
  const discard = async () => {
    await draft.discard();
    go("alerts");
  };
  const actions = html`<${Button} onClick=${() => setDiscarding(true)}>${t("new_alert.discard")}<//>`;
  return html`<${Page} title=${title} drill=${form.drill} actions=${actions}>
    <div class="beside">
      <div class="stack">
        <${Section} title=${t("new_alert.about")}>
          <${Field} label=${t("new_alert.name")} hint=${t("new_alert.name_hint")} maxlength="200" value=${form.title} onInput=${(text) => change({ title: text })} />
          <${Field} label=${t("new_alert.from")} hint=${t("new_alert.from_hint")} inputmode="tel" value=${form.from} error=${problemsAt(error, "/remote_request_params/from")} onInput=${(from) => change({ from })} />
          <${Checkbox} label=${t("new_alert.drill")} checked=${form.drill} onInput=${(ticked) => change({ drill: ticked })} />
        <//>
        <${Audience} form=${form} change=${change} />
        <${Message} form=${form} change=${change} error=${ofFlow(error)} />
        <${Timing} form=${form} change=${change} error=${error} />
        <${Attempts} form=${form} change=${change} error=${error} />
        <${More} form=${form} change=${change} error=${error} />
      </div>
      <${Check} draft=${draft} form=${form}><${Start} draft=${draft} form=${form} /><//>
    </div>
    ${discarding && html`<${Confirm} title=${t("new_alert.ask_discard")} label=${t("new_alert.discard")} action=${discard} onClose=${() => setDiscarding(false)}><p>${t("new_alert.ask_discard_text")}</p><//>`}
  <//>`;
}

/** What is said of the call flow, where people choose it. */
const ofFlow = (error) => (error?.errors?.call_flow_logic ? { errors: { call_flow_logic: error.errors.call_flow_logic }, hints: {} } : null);

function beginning({ id, metadata }, drill) {
  if (id || !metadata) return undefined;
  try {
    return { ...emptyForm(drill), conditions: conditionsOf(JSON.parse(metadata)) };
  } catch {
    return undefined;
  }
}
