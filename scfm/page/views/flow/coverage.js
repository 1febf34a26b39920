// Which prompt is heard in which language.

import { html, useData, useState, Busy, Notice, Section, Table } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { t } from "../../lib/text.js";
import { languageName } from "../parts/language_name.js";
import { VersionChoice } from "./versions.js";

export function Coverage({ flow, path }) {
  const [version, setVersion] = useState("");
  const { data, error } = useData(() => api.get(`${path}/coverage`, { version }), [version, flow.updated_at]);
  return html`<${Section}>
    <${VersionChoice} flow=${flow} value=${version} onVersion=${setVersion} />
    <${Notice} error=${error} />
    ${data ? html`<${Heard} coverage=${data.body} />` : !error && html`<${Busy} />`}
  <//>`;
}

function Heard({ coverage }) {
  const languages = Object.keys(coverage.languages);
  const columns = [
    { key: "step", label: t("flow.step") },
    ...languages.map((language) => ({ key: language, label: languageName(language), cell: ({ heard }) => cell(heard[language], language) })),
  ];
  return html`<p>${t("flow.coverage_hint")}</p>
    <ul>
      ${languages.map((language) => html`<li key=${language}>${t("flow.covered", { language: languageName(language), own: coverage.languages[language], count: coverage.prompts })}</li>`)}
    </ul>
    <${Table} caption=${t("flow.tab_languages")} columns=${columns} rows=${coverage.steps} empty=${t("flow.no_prompts")} />`;
}

function cell(heard, language) {
  if (heard === null) return html`<strong>${t("flow.heard_nothing")}</strong>`;
  const how = t(`flow.by_${heard.by}`);
  return heard.language === language ? how : html`<em>${t("flow.instead", { how, language: languageName(heard.language) })}</em>`;
}
