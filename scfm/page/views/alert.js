// One alert, or one drill: whom it has reached, whom it will, how it goes, and what can be done about it.

import { Busy, html, Notice, Page, Section, useEffect, useRef, useState } from "../lib/ui.js";
import { href } from "../lib/router.js";
import { clock, t } from "../lib/text.js";
import { About } from "./alert/about.js";
import { Actions, Hold } from "./alert/actions.js";
import { Announcer } from "./alert/announcer.js";
import { connection, watch } from "./alert/data.js";
import { firstPath, groupPaths, Groups, keepPath } from "./alert/groups.js";
import { Health } from "./alert/health.js";
import { Missed } from "./alert/missed.js";
import { Pace } from "./alert/pace.js";
import { People } from "./alert/people.js";
import { phaseOf } from "./alert/phase.js";
import { sentence, zoneOf } from "./alert/sentence.js";
import { stylesheet } from "./parts/stylesheet.js";
import { finding } from "./new-alert/findings.js";

const styled = stylesheet(new URL("alert/alert.css", import.meta.url));

export default function Alert({ params }) {
  const { alert, watched } = useAlert(params.id);
  // The address may be another view's already while this one is still here.
  const [drill] = useState(() => location.hash.startsWith("#/drills/"));
  const { callout, problem } = alert ?? {};
  const number = t(drill ? "alert.drill_title" : "alert.title", { id: params.id });
  const name = callout && String(callout.metadata.title ?? callout.metadata.name ?? "").trim();
  const title = name || number;
  useEffect(() => redirect(callout, drill), [callout]);
  if (problem) return html`<${Page} key="page" title=${title} drill=${drill}><${Notice} error=${problem} /><//>`;
  if (!callout) return html`<${Page} key="page" title=${title} drill=${drill}><${Busy} /><//>`;
  // Before it begins nobody is in it: what it is comes first, for those who start or approve it.
  const begun = callout.status !== "initialized" || alert.statistics?.people.total > 0;
  return html`<${Page} key="page" title=${title} drill=${drill} actions=${html`<${Actions} alert=${alert} watched=${watched} />`}>
    <${Head} alert=${alert} number=${name && number} />
    ${callout.status === "initialized" && html`<${Preflight} key="preflight" alert=${alert} />`}
    ${begun && alert.statistics && html`<${Figures} key="figures" alert=${alert} watched=${watched} />`}
    <${Section} key="about" title=${t("alert.about")}><${About} alert=${alert} /><//>
    ${!begun && alert.statistics && html`<${System} key="system" alert=${alert} watched=${watched} />`}
  <//>`;
}

/** What is known of the callout, as it changes; null at first. */
function useAlert(id) {
  const [alert, setAlert] = useState(null);
  const watched = useRef(null);
  useEffect(() => {
    let over = false;
    styled.then(() => {
      if (!over) watched.current = watch(id, setAlert);
    });
    return () => {
      over = true;
      watched.current?.stop();
    };
  }, [id]);
  return { alert, watched: watched.current };
}

/** A drill has an address of its own: nobody takes one for an alert. */
function redirect(callout, drill) {
  if (!callout || (callout.metadata.drill === true) === drill) return;
  location.replace(href(drill ? "alerts" : "drills", callout.id));
}

/** Where it stands; with its `number`, where the title is its name. */
function Head({ alert, number }) {
  const told = sentence(alert);
  return html`
    ${number && html`<p class="alert-number">${number}</p>`}
    <p class="alert-sentence" data-phase=${phaseOf(alert)}>${told}</p>
    <${Link} alert=${alert} />
    ${alert.statistics && html`<${Announcer} text=${told} urgent=${phaseOf(alert)} />`}
  `;
}

/** Whether the figures are those of now. The line is always there, so that nothing moves when it changes. */
function Link({ alert }) {
  const { figuresAt, heardAt, skew, callout } = alert;
  const state = connection(alert);
  const current = ["live", "polling", "ended"].includes(state);
  const moment = current && state !== "ended" ? heardAt : figuresAt;
  const at = moment && clock(new Date(moment + skew).toISOString(), { zone: zoneOf(callout), seconds: true });
  const told = t(`alert.link_${state}`, { time: at ?? "" });
  return html`
    <p class="alert-link" data-link=${state}>${told}${!current && at && ` · ${t("alert.figures_of", { time: at })}`}</p>
    <p class="unseen" role="status">${state === "lost" || state === "failing" ? told : ""}</p>
  `;
}

/** What the server says of a plan before it begins. */
function Preflight({ alert: { preflight } }) {
  if (!preflight) return null;
  const { blockers, warnings, excluded } = preflight;
  return html`
    ${blockers.length > 0 && html`<${Notice} kind="error"><p>${t("alert.blockers")}</p><ul>${blockers.map((line) => html`<li key=${line}>${finding(line)}</li>`)}</ul><//>`}
    ${warnings.length > 0 && html`<${Notice} kind="warning"><ul>${warnings.map((line) => html`<li key=${line}>${finding(line)}</li>`)}</ul><//>`}
    ${Object.entries(excluded).map(([reason, count]) => count > 0 && html`<p key=${reason}>${t("alert.not_called", { count, reason: t(`reason.${reason}`) })}</p>`)}
  `;
}

function Figures({ alert, watched }) {
  const { statistics, preflight, callout } = alert;
  const { path, paths, choose } = usePath();
  return html`
    <div class="alert-figures">
      <${Section} title=${t("alert.people_section")}><${People} statistics=${statistics} /><//>
      <${Section} title=${t("alert.pace")}><${Pace} statistics=${statistics} preflight=${preflight} zone=${zoneOf(callout)} /><//>
      <${System} alert=${alert} watched=${watched} />
    </div>
    ${path && html`<${Section} title=${t("alert.groups")}><${Groups} alert=${alert} path=${path} paths=${paths} choose=${choose} /><//>`}
    <${Section} title=${t("alert.one_by_one")}><${Missed} alert=${alert} path=${path} paths=${paths} /><//>
  `;
}

/** Whether all is well, and the hold of all calls. */
function System({ alert, watched }) {
  return html`<${Section} title=${t("alert.health")} actions=${html`<${Hold} alert=${alert} watched=${watched} />`}>
    <${Health} alert=${alert} />
  <//>`;
}

/** The path in the contacts' metadata by which people are grouped: kept on this device. */
function usePath() {
  const [paths, setPaths] = useState([]);
  const [path, setPath] = useState(null);
  useEffect(() => {
    let over = false;
    groupPaths().then((found) => {
      if (over) return;
      setPaths(found);
      setPath(firstPath(found) ?? null);
    });
    return () => (over = true);
  }, []);
  const choose = (chosen) => {
    keepPath(chosen);
    setPath(chosen);
  };
  return { path, paths, choose };
}
