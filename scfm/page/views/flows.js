// Call flows: what people hear and what their keys do. The list, and a new one from an example.

import { html, useAction, useData, useState, Busy, Button, Field, FormDialog, Notice, Page, Paging, Select, Status, Table } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { go, href, replaceQuery } from "../lib/router.js";
import { may } from "../lib/session.js";
import { clock, t } from "../lib/text.js";
import "./parts/style.js";

const PER_PAGE = 25;

// Files in flows/, which are those of the repository's examples/.
const EXAMPLES = [
  "warning",
  "warning-with-acknowledgement",
  "all-clear",
  "drill",
  "survey",
  "needs-assessment",
  "opt-out",
];

export default function Flows({ query }) {
  const page = Number(query.page) || 1;
  const [making, setMaking] = useState(false);
  const { data, error } = useData(() => api.newest("api/call_flows", {}, page, PER_PAGE), [page]);
  const add = may("operator") && html`<${Button} kind="primary" onClick=${() => setMaking(true)}>${t("flows.make")}<//>`;
  const columns = [
    { key: "name", label: t("flows.name"), cell: (flow) => html`<a href=${href("flows", flow.id)}>${flow.name}</a>` },
    { key: "status", label: t("flows.status"), cell: (flow) => html`<${Status} status=${flow.status} />` },
    { key: "version", label: t("flows.version"), numeric: true },
    { key: "languages", label: t("flows.languages"), cell: (flow) => (flow.definition.languages ?? []).join(", ") },
    { key: "updated_at", label: t("flows.changed"), cell: (flow) => clock(flow.updated_at) },
  ];
  return html`<${Page} title=${t("flows.title")} actions=${add}>
    <p>${t("flows.about")}</p>
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${data &&
    html`<${Table} caption=${t("flows.title")} columns=${columns} rows=${data.rows} empty=${t("flows.none")} />
      <${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${(number) => replaceQuery({ page: number })} />`}
    ${making && html`<${NewFlow} onClose=${() => setMaking(false)} />`}
  <//>`;
}

function NewFlow({ onClose }) {
  const [name, setName] = useState("");
  const [example, setExample] = useState(EXAMPLES[0]);
  const make = useAction(async () => {
    const file = await fetch(new URL(`./flows/${example}.json`, import.meta.url));
    const { body } = await api.post("api/call_flows", { name: name.trim(), definition: await file.json() });
    go("flows", body.id);
  });
  const options = EXAMPLES.map((one) => [one, t(`flows.example_${one.replaceAll("-", "_")}`)]);
  const [, { error }] = make;
  return html`<${FormDialog} title=${t("flows.make_title")} label=${t("flows.make")} action=${make} shown=${["name"]} onClose=${onClose}>
    <${Field} label=${t("flows.name")} name="name" value=${name} onInput=${setName} error=${error} hint=${t("flows.name_hint")} maxlength="64" required />
    <${Select} label=${t("flows.example")} value=${example} options=${options} onInput=${setExample} hint=${t("flows.example_hint")} />
  <//>`;
}
