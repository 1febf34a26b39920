// The steps of a flow as a picture, and as a list for those who do not see it.

import { html, useData, useState, Busy, Notice, Section } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { t } from "../../lib/text.js";
import { LINE_HEIGHT, placed } from "./layout.js";
import { readMermaid } from "./mermaid.js";
import { VersionChoice } from "./versions.js";

export function Diagram({ flow, path }) {
  const [version, setVersion] = useState("");
  const { data, error } = useData(() => api.get(`${path}/graph`, { version }), [version, flow.updated_at]);
  return html`<${Section}>
    <${VersionChoice} flow=${flow} value=${version} onVersion=${setVersion} />
    <${Notice} error=${error} />
    ${data ? html`<${Drawn} text=${data.body} />` : !error && html`<${Busy} />`}
  <//>`;
}

function Drawn({ text }) {
  const chart = readMermaid(text);
  const plan = placed(chart);
  return html`<div class="diagram" tabindex="0" role="group" aria-label=${t("flow.tab_diagram")}>
      <svg width=${plan.width} height=${plan.height} viewBox=${`0 0 ${plan.width} ${plan.height}`} aria-hidden="true">
        <defs>
          <marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto"><path d="M 0 0 L 8 4 L 0 8 Z" /></marker>
        </defs>
        ${plan.arrows.map((arrow, index) => html`<path key=${index} class=${arrow.back ? "arrow back" : "arrow"} d=${arrow.path} marker-end="url(#tip)" />`)}
        ${plan.nodes.map((node) => html`<${Node} key=${node.id} node=${node} />`)}
        ${plan.arrows.map(({ label, x, y }, index) => label && html`<text key=${index} class="arrow-label" x=${x} y=${y} text-anchor="middle">${label}</text>`)}
      </svg>
    </div>
    <details>
      <summary>${t("flow.as_list")}</summary>
      <${StepList} chart=${chart} />
    </details>`;
}

function Node({ node }) {
  const middle = node.x + node.width / 2;
  const top = node.y + (node.height - node.lines.length * LINE_HEIGHT) / 2 + LINE_HEIGHT - 5;
  return html`<g class=${`node ${node.shape}`}>
    <rect x=${node.x} y=${node.y} width=${node.width} height=${node.height} rx=${node.shape === "round" ? node.height / 2 : 8} />
    ${node.lines.map(
      (line, index) => html`<text key=${index} class=${index === 0 ? "step-name" : undefined} x=${middle} y=${top + index * LINE_HEIGHT} text-anchor="middle">${line}</text>`,
    )}
  </g>`;
}

function StepList({ chart }) {
  const names = new Map(chart.nodes.map((node) => [node.id, node.lines[0]]));
  return html`<ol>
    ${chart.nodes.map((node) => {
      const ways = chart.arrows.filter((arrow) => arrow.from === node.id);
      return html`<li key=${node.id}>
        <strong>${node.lines[0]}</strong> ${node.lines.slice(1).join(" · ")}
        <ul>
          ${ways.map((way, index) => html`<li key=${index}>${way.label && `${way.label} `}→ ${names.get(way.to)}</li>`)}
        </ul>
      </li>`;
    })}
  </ol>`;
}
