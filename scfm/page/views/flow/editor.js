// The definition as text, with the numbers of its lines, and what is wrong with it beside it.

import { html, useAction, useRef, Button, Notice, Section } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { may } from "../../lib/session.js";
import { t } from "../../lib/text.js";
import { lineOf } from "./json_places.js";

export function Editor({ path, draft, reload }) {
  const area = useRef(null);
  const [save, saving] = useAction(draft.save);
  const [publish, publishing] = useAction(async () => {
    if (draft.changed) await draft.save();
    await api.post(`${path}/publish`, {});
    await reload();
  });
  const busy = saving.busy || publishing.busy;
  const blocked = draft.findings.problem !== null || draft.findings.errors.length > 0;
  const jump = (line) => select(area.current, draft.text, line);
  return html`<${Section}>
    <p class="hint">${t("flow.text_hint")} <a href=${api.href("api/schemas/call_flow.json")} target="_blank">${t("flow.schema")}</a></p>
    <div class="editing">
      <${TextWithLines} area=${area} text=${draft.text} onText=${draft.setText} marked=${markedLines(draft.findings)} />
      <${Findings} findings=${draft.findings} jump=${jump} />
    </div>
    <${Notice} error=${saving.error ?? publishing.error} />
    ${may("operator") &&
    html`<div class="actions">
      <${Button} kind="primary" busy=${busy} disabled=${blocked || !draft.changed} onClick=${save}>${t("flow.save")}<//>
      <${Button} busy=${busy} disabled=${blocked} onClick=${publish}>${t(draft.changed ? "flow.save_and_publish" : "flow.publish")}<//>
      ${draft.changed && html`<${Button} onClick=${draft.discard}>${t("flow.discard")}<//>`}
    </div>`}
  <//>`;
}

function TextWithLines({ area, text, onText, marked }) {
  const gutter = useRef(null);
  const count = text.split("\n").length;
  const follow = (event) => {
    gutter.current.scrollTop = event.currentTarget.scrollTop;
  };
  return html`<div class="code">
    <div class="gutter" ref=${gutter} aria-hidden="true">
      ${Array.from({ length: count }, (_, index) => html`<span key=${index} class=${marked.get(index + 1)}>${index + 1}</span>`)}
    </div>
    <textarea
      ref=${area}
      aria-label=${t("flow.definition")}
      spellcheck="false"
      autocapitalize="off"
      wrap="off"
      readonly=${!may("operator")}
      value=${text}
      onInput=${(event) => onText(event.currentTarget.value)}
      onScroll=${follow}
    ></textarea>
  </div>`;
}

function markedLines({ problem, errors, warnings, places }) {
  const marked = new Map(warnings.map(({ pointer }) => [lineOf(places, pointer), "warning"]));
  for (const { pointer } of errors) marked.set(lineOf(places, pointer), "error");
  if (problem) marked.set(problem.line, "error");
  return marked;
}

function Findings({ findings, jump }) {
  const { problem, errors, warnings, places, settled, failure } = findings;
  const shown = [
    ...(problem ? [{ kind: "error", line: problem.line, message: t(`flow.json_${problem.what}`, { column: problem.column }) }] : []),
    ...errors.map((error) => ({ kind: "error", line: lineOf(places, error.pointer), ...error })),
    ...warnings.map((warning) => ({ kind: "warning", line: lineOf(places, warning.pointer), ...warning })),
  ];
  const count = problem ? 1 : errors.length;
  const verdict = problem || settled ? t("flow.verdict", { count }) : t("flow.checking");
  return html`<div class="findings">
    <p role="status">${verdict}</p>
    <${Notice} error=${failure} />
    <ul class="plain-list">
      ${shown.map(
        ({ kind, line, pointer, message }, index) => html`<li key=${index} class=${kind}>
          <button type="button" class="plain" onClick=${() => jump(line)}>${t("flow.line", { line: String(line) })}</button>
          ${kind === "warning" && html`<strong>${t("flow.warning")}</strong> `}
          ${pointer && html`<code>${pointer}</code> `}<span>${message}</span>
        </li>`,
      )}
    </ul>
  </div>`;
}

/** Selects a line of the text, and brings it into sight. */
function select(area, text, line) {
  const lines = text.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, before) => sum + before.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
  area.scrollTop = Math.max(0, (line - 4) * (area.scrollHeight / lines.length));
}
