// One person: the number, what is known, whether they may be called, and all that has happened.

import { html, useData, useState, Busy, Button, Confirm, Notice, Page, Section } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { go } from "../lib/router.js";
import { may } from "../lib/session.js";
import { t, time } from "../lib/text.js";
import { ContactEditor } from "./contacts/editor.js";
import { useContactFields } from "./parts/contact_search.js";
import { Facts, Metadata, flattened, nameOf } from "./parts/metadata.js";
import { Alerts, Calls, Events } from "./person/history.js";
import { OptOut } from "./person/opt_out.js";
import "./parts/style.js";

export default function Person({ params }) {
  const path = `api/contacts/${params.id}`;
  const { data, error, reload } = useData(() => api.get(path), [params.id]);
  if (error) return html`<${Page} title=${t("person.title")}><${Notice} error=${error} /><//>`;
  if (!data) return html`<${Busy} />`;
  return html`<${Known} contact=${data.body} path=${path} reload=${reload} />`;
}

function Known({ contact, path, reload }) {
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const fields = useContactFields();
  const title = nameOf(contact.metadata) || contact.msisdn;
  const remove = async () => {
    await api.remove(path);
    go("contacts");
  };
  const actions =
    may("operator") &&
    html`<${Button} onClick=${() => setDialog("edit")}>${t("person.edit")}<//>
      <${Button} kind="danger" onClick=${() => setDialog("delete")}>${t("person.delete")}<//>`;
  return html`<${Page} title=${title} actions=${actions}>
    <${Section} title=${t("person.details")}>
      <${Facts} facts=${[[t("contacts.number"), html`<span class="number">${contact.msisdn}</span>`], [t("contacts.added"), time(contact.created_at)]]} />
      <${Metadata} metadata=${contact.metadata} />
      <${Remembered} metadata=${contact.metadata} />
    <//>
    <${OptOut} msisdn=${contact.msisdn} />
    <${Alerts} path=${path} />
    <${Calls} path=${path} />
    <${Events} path=${path} />
    ${dialog === "edit" && html`<${ContactEditor} contact=${contact} fields=${fields} onClose=${close} onSaved=${reload} />`}
    ${dialog === "delete" &&
    html`<${Confirm} title=${t("person.delete_title", { name: title })} label=${t("person.delete")} action=${remove} onClose=${close}>
      <p>${t("person.delete_text")}</p>
    <//>`}
  <//>`;
}

/** What call flows have kept of the person. */
function Remembered({ metadata }) {
  const kept = flattened({ kept: metadata.call_flow_data }).map(([path, value]) => [path.replace(/^kept\.?/, ""), value]);
  if (!metadata.call_flow_data) return null;
  return html`<h3>${t("person.remembered")}</h3><${Facts} facts=${kept} />`;
}
