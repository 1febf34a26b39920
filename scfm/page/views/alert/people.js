// The people of an alert by outcome: a bar, and the same as a table, whose figures sum.

import { html } from "../../lib/ui.js";
import { number, percent, t } from "../../lib/text.js";
import { openPeople, OUTCOMES } from "./outcomes.js";

// One person of twenty thousand is seen, too: in percent of the bar.
const MIN_SHARE = 0.6;

/** A bar of PEOPLE by outcome. What it says is told beside it: for who does not see it, it is not there. */
export function Bar({ people, thin = false }) {
  const shares = OUTCOMES.map((outcome) => share(people[outcome], people.total));
  const whole = Math.max(100, shares.reduce((sum, one) => sum + one, 0));
  let left = 0;
  const parts = OUTCOMES.map((outcome, index) => {
    const width = (100 * shares[index]) / whole;
    const x = left;
    left += width;
    return width > 0 && html`<rect key=${outcome} class=${`outcome-${outcome}`} x=${`${x}%`} width=${`${width}%`} height="100%" />`;
  });
  return html`<svg class=${thin ? "bar thin" : "bar"} aria-hidden="true" focusable="false">${parts}</svg>`;
}

function share(count, total) {
  return count > 0 ? Math.max(MIN_SHARE, (100 * count) / total) : 0;
}

/** The bar and the table. STATISTICS are those of the callout. */
export function People({ statistics }) {
  const { people } = statistics;
  const { flying } = openPeople(statistics);
  const rows = OUTCOMES.map(
    (outcome) => html`<tr key=${outcome} class=${people[outcome] ? "" : "none"}>
      <th scope="row"><span class=${`swatch outcome-${outcome}`} aria-hidden="true"></span>${t(`outcome.${outcome}`)}
        ${outcome === "calling" && flying > 0 && html` <span class="hint">(${t("alert.of_these_ring", { count: flying })})</span>`}</th>
      <td class="numeric" data-outcome=${outcome}>${number(people[outcome])}</td>
      <td class="numeric">${people.total ? percent(people[outcome] / people.total) : ""}</td>
    </tr>`,
  );
  return html`<div class="people">
    <${Bar} people=${people} />
    <table class="figures">
      <caption class="unseen">${t("alert.people_caption")}</caption>
      <thead class="unseen"><tr>
        <th scope="col">${t("alert.outcome")}</th><th scope="col">${t("alert.people")}</th><th scope="col">${t("alert.share")}</th>
      </tr></thead>
      <tbody>${rows}</tbody>
      <tfoot><tr>
        <th scope="row">${t("alert.total")}</th>
        <td class="numeric" data-outcome="total">${number(people.total)}</td>
        <td class="numeric">${people.total ? percent(1) : ""}</td>
      </tr></tfoot>
    </table>
    <${Calls} statistics=${statistics} />
  </div>`;
}

/** What the calls have come to, for who asks. */
function Calls({ statistics }) {
  const calls = Object.entries(statistics.calls).filter(([, count]) => count > 0);
  const attempts = Object.entries(statistics.attempts).filter(([, count]) => count > 0);
  return html`<details>
    <summary>${t("alert.calls_in_detail")}</summary>
    <dl class="pairs">
      ${calls.map(([status, count]) => html`<div key=${status}><dt>${t(`status.${status}`)}</dt><dd>${number(count)}</dd></div>`)}
      ${attempts.map(
        ([times, count]) =>
          html`<div key=${`attempts ${times}`}><dt>${called(Number(times))}</dt><dd>${number(count)}</dd></div>`,
      )}
    </dl>
  </details>`;
}

const called = (count) => (count === 0 ? t("alert.people_never_called") : t("alert.people_called", { count }));
