// One call flow: its definition as text, a rehearsal, its diagram, its languages, its versions.

import { html, useData, useState, Busy, Button, Confirm, Notice, Page, Status } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { go, href } from "../lib/router.js";
import { may } from "../lib/session.js";
import { t } from "../lib/text.js";
import { Coverage } from "./flow/coverage.js";
import { Diagram } from "./flow/diagram.js";
import { Editor } from "./flow/editor.js";
import { Rehearsal } from "./flow/rehearsal.js";
import { RenameDialog } from "./flow/rename.js";
import { Versions } from "./flow/versions.js";
import { useDraft } from "./flow/draft.js";
import "./parts/style.js";

const TABS = { text: Editor, rehearsal: Rehearsal, diagram: Diagram, languages: Coverage, versions: Versions };

export default function Flow({ params, query }) {
  const path = `api/call_flows/${params.id}`;
  const { data, error, reload } = useData(() => api.get(path), [params.id]);
  if (!data) return html`<${Page} title=${t("flow.title")}>${error ? html`<${Notice} error=${error} />` : html`<${Busy} />`}<//>`;
  return html`<${Known} flow=${data.body} path=${path} reload=${reload} query=${query} />`;
}

function Known({ flow, path, reload, query }) {
  const draft = useDraft(flow, path, reload);
  const tab = query.tab in TABS ? query.tab : "text";
  const actions = may("operator") && html`<${Actions} flow=${flow} path=${path} reload=${reload} />`;
  return html`<${Page} title=${flow.name} actions=${actions}>
    <p>
      <${Status} status=${flow.status} />${" "}
      ${flow.version === null ? t("flow.no_version") : t("flow.newest_version", { version: flow.version })}
      ${draft.changed && html` <strong>${t("flow.unsaved")}</strong>`}
    </p>
    <nav class="tabs" aria-label=${t("flow.parts")}>
      ${Object.keys(TABS).map(
        (name) => html`<a key=${name} href=${href("flows", flow.id, { tab: name })} aria-current=${name === tab ? "page" : undefined}>${t(`flow.tab_${name}`)}</a>`,
      )}
    </nav>
    <${TABS[tab]} flow=${flow} path=${path} draft=${draft} reload=${reload} />
  <//>`;
}

function Actions({ flow, path, reload }) {
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const remove = async () => {
    await api.remove(path);
    go("flows");
  };
  return html`<${Button} onClick=${() => setDialog("rename")}>${t("flow.rename")}<//>
    <${Button} kind="danger" onClick=${() => setDialog("delete")}>${t("flow.delete")}<//>
    ${dialog === "rename" && html`<${RenameDialog} flow=${flow} path=${path} onClose=${close} onSaved=${reload} />`}
    ${dialog === "delete" &&
    html`<${Confirm} title=${t("flow.delete_title", { name: flow.name })} label=${t("flow.delete")} action=${remove} onClose=${close}>
      <p>${t("flow.delete_text")}</p>
    <//>`}`;
}
