// A new contact, or one that is changed: its number and its metadata.

import { html, useAction, useState, Field, FormDialog } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { go } from "../../lib/router.js";
import { t } from "../../lib/text.js";
import { MetadataEditor, metadataOf, rowsOf } from "../parts/metadata.js";

/** Without `contact` a new one is made, and its page is gone to. */
export function ContactEditor({ contact, fields = [], onClose, onSaved }) {
  const [msisdn, setMsisdn] = useState(contact?.msisdn ?? "");
  const [rows, setRows] = useState(contact ? rowsOf(contact.metadata) : [{ name: "name", text: "" }]);
  const save = useAction(async () => {
    const metadata = metadataOf(rows);
    if (contact) await api.patch(`api/contacts/${contact.id}`, changesOf(contact, msisdn, metadata));
    else go("contacts", (await api.post("api/contacts", { msisdn, metadata })).body.id);
    onSaved?.();
    onClose();
  });
  const names = fields.map((path) => path.replace(/^metadata\./, "")).filter((name) => !name.includes("."));
  const [, { error }] = save;
  return html`<${FormDialog} title=${contact ? t("contacts.edit_title") : t("contacts.add_title")} label=${t("contacts.save")} action=${save} shown=${["msisdn"]} onClose=${onClose}>
    <${Field} label=${t("contacts.number")} name="msisdn" type="tel" value=${msisdn} onInput=${setMsisdn} error=${error} hint=${t("contacts.number_hint")} required />
    <${MetadataEditor} rows=${rows} onRows=${setRows} names=${names} />
  <//>`;
}

/**
 * What a PATCH is given: what is new and what is other than it was, joined to what is stored. Only where a name is gone
 * is the whole replaced, as a merge removes nothing.
 */
function changesOf(contact, msisdn, metadata) {
  const before = contact.metadata;
  const gone = rowsOf(before).some(({ name }) => !(name in metadata));
  const changed = Object.entries(metadata).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
  return {
    ...(msisdn === contact.msisdn ? {} : { msisdn }),
    metadata: gone ? metadata : Object.fromEntries(changed),
    metadata_merge_mode: gone ? "replace" : "merge",
  };
}
