// Whether a number may be called, and the switch for it.

import { html, useAction, useData, useState, Button, Confirm, Field, FormDialog, Notice, Section } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { may } from "../../lib/session.js";
import { hasText, t, time } from "../../lib/text.js";

export function OptOut({ msisdn }) {
  // Who sees masked numbers cannot look for one.
  const hidden = msisdn.includes("•");
  const { data, error, reload } = useData(
    () => (hidden ? { body: [] } : api.get("api/opt_outs", { q: { msisdn } })),
    [msisdn],
  );
  const [dialog, setDialog] = useState(null);
  const found = data?.body[0];
  const close = () => setDialog(null);
  const again = async () => {
    await api.remove(`api/opt_outs/${found.id}`);
    reload(); // not waited for: the dialog tells of what is gone then
  };
  return html`<${Section} title=${t("person.may_be_called")}>
    <${Notice} error=${error} />
    ${hidden && html`<p>${t("person.opt_out_hidden")}</p>`}
    ${data && !hidden && html`<p role="status">${found ? told(found) : t("person.is_called")}</p>`}
    ${data && !hidden && may("operator") &&
    (found
      ? html`<${Button} onClick=${() => setDialog("in")}>${t("person.opt_in")}<//>`
      : html`<${Button} onClick=${() => setDialog("out")}>${t("person.opt_out")}<//>`)}
    ${dialog === "out" && html`<${OptOutDialog} msisdn=${msisdn} onClose=${close} onSaved=${reload} />`}
    ${dialog === "in" && found &&
    html`<${Confirm} title=${t("person.opt_in_title")} label=${t("person.opt_in")} danger=${false} action=${again} onClose=${close}>
      <p>${told(found)}</p>
      <p>${t("person.opt_in_text")}</p>
    <//>`}
  <//>`;
}

function told(optOut) {
  const source = `person.source_${optOut.source}`;
  const by = hasText(source) ? t(source) : optOut.source;
  const sentence = t("person.opted_out", { when: time(optOut.created_at), by });
  return optOut.reason ? `${sentence} ${t("person.opt_out_because", { reason: optOut.reason })}` : sentence;
}

function OptOutDialog({ msisdn, onClose, onSaved }) {
  const [reason, setReason] = useState("");
  const save = useAction(async () => {
    await api.post("api/opt_outs", { msisdn, ...(reason ? { reason } : {}) });
    await onSaved();
    onClose();
  });
  const [, { error }] = save;
  return html`<${FormDialog} title=${t("person.opt_out_title")} label=${t("person.opt_out")} kind="danger" action=${save} shown=${["reason"]} onClose=${onClose}>
    <p>${t("person.opt_out_text")}</p>
    <${Field} label=${t("person.opt_out_reason")} name="reason" value=${reason} onInput=${setReason} error=${error} />
  <//>`;
}
