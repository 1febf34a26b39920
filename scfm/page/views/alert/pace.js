// The calls of each minute, and the limit that they may reach, with its name.

import { html } from "../../lib/ui.js";
import { clock, number, t } from "../../lib/text.js";
import { limitName } from "../parts/limit_name.js";

const MINUTE = 60_000;
const MAX_MINUTES = 60;
// A limit that is farther above the calls would press them to the ground: it is told, and not drawn.
const MAX_ABOVE = 4;
// The drawing's own units.
const WIDTH = 600;
const HEIGHT = 120;
// Minutes that are told as a table.
const MAX_ROWS = 15;

/** STATISTICS of the callout; PREFLIGHT, if there is one, knows how fast it may call; ZONE is that of the alert. */
export function Pace({ statistics, preflight, zone }) {
  const minutes = timeline(statistics.calls_per_minute);
  const limit = preflight ? Math.round(60 * preflight.calls_per_second) : null;
  const limitedBy = statistics.limited_by;
  return html`<figure class="pace">
    <figcaption>
      ${summary(minutes, zone)}
      ${limitedBy && html` <span class="limit">${t("alert.limited_by", { limit: limitName(limitedBy) })}</span>`}
      ${limit !== null && html` <span class="limit">${t("alert.limit_a_minute", { count: limit })}</span>`}
    </figcaption>
    <p class="legend" aria-hidden="true">
      <span><span class="swatch placed"></span>${t("alert.placed")}</span> <span><span class="swatch answered"></span>${t("alert.answered")}</span>
    </p>
    <${Chart} minutes=${minutes} limit=${limit} />
    <p class="axis" aria-hidden="true">
      <span>${minutes.length ? clock(minutes[0].at, { zone }) : ""}</span>
      <span>${minutes.length ? clock(minutes.at(-1).at, { zone }) : ""}</span>
    </p>
    <${Minutes} minutes=${minutes} zone=${zone} />
  </figure>`;
}

/** The last minutes up to the last with calls, those without calls too: [{at, placed, answered}]. */
function timeline(callsPerMinute) {
  if (callsPerMinute.length === 0) return [];
  const byMinute = new Map(callsPerMinute.map(([at, placed, answered]) => [Date.parse(at), { placed, answered }]));
  const last = Date.parse(callsPerMinute.at(-1)[0]);
  const first = Math.max(Date.parse(callsPerMinute[0][0]), last - (MAX_MINUTES - 1) * MINUTE);
  const minutes = [];
  for (let at = first; at <= last; at += MINUTE) {
    minutes.push({ at: new Date(at).toISOString(), placed: 0, answered: 0, ...byMinute.get(at) });
  }
  return minutes;
}

function summary(minutes, zone) {
  if (minutes.length === 0) return t("alert.no_calls_yet");
  const { at, placed, answered } = minutes.at(-1);
  return t("alert.last_minute", { time: clock(at, { zone }), count: placed, answered });
}

function Chart({ minutes, limit }) {
  const most = Math.max(1, ...minutes.map(({ placed }) => placed));
  const drawn = limit !== null && minutes.length > 0 && limit <= MAX_ABOVE * most;
  const top = 1.1 * (drawn ? Math.max(most, limit) : most);
  const y = (calls) => HEIGHT - (HEIGHT * calls) / top;
  const step = WIDTH / Math.max(minutes.length, 12);
  const bar = (kind) => (minute, index) =>
    html`<rect key=${minute.at} class=${kind} x=${index * step + 0.1 * step} y=${y(minute[kind])} width=${0.8 * step} height=${HEIGHT - y(minute[kind])} />`;
  return html`<svg class="chart" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
    <g>${minutes.map(bar("placed"))}</g>
    <g>${minutes.map(bar("answered"))}</g>
    ${drawn && html`<line class="limit" x1="0" x2=${WIDTH} y1=${y(limit)} y2=${y(limit)} />`}
  </svg>`;
}

/** The same as figures, the newest minute first. */
function Minutes({ minutes, zone }) {
  return html`<details>
    <summary>${t("alert.minutes_as_figures")}</summary>
    <table class="figures">
      <thead><tr>
        <th scope="col">${t("alert.minute")}</th><th scope="col">${t("alert.placed")}</th><th scope="col">${t("alert.answered")}</th>
      </tr></thead>
      <tbody>${minutes.slice(-MAX_ROWS).reverse().map(
        ({ at, placed, answered }) =>
          html`<tr key=${at}><th scope="row">${clock(at, { zone })}</th><td class="numeric">${number(placed)}</td><td class="numeric">${number(answered)}</td></tr>`,
      )}</tbody>
    </table>
  </details>`;
}
