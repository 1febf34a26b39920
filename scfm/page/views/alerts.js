// The alerts, those that run first: a sentence each about the people.

import * as api from "../lib/api.js";
import { html, useEffect, useState, Page, Table, Button, Notice, Busy, Status, Paging, useData } from "../lib/ui.js";
import { may } from "../lib/session.js";
import { t, clock, zoneName } from "../lib/text.js";
import { href } from "../lib/router.js";

const PER_PAGE = 25;
// Milliseconds between two looks: while something runs, and, at what runs alone, while nothing does.
const RUNNING_LOOK = 10_000;
const IDLE_LOOK = 60_000;
const GOING_ON = "running,paused";

/** A page of callouts, the newest first, behind those that are going on, with their people; total is of all. */
async function fetched(page) {
  const going = page === 1 ? api.newest("api/callouts", { q: { status: GOING_ON } }) : { rows: [] };
  const [newest, { rows: first }] = await Promise.all([api.newest("api/callouts", {}, page, PER_PAGE), going]);
  const { total } = newest;
  const rows = [...first, ...newest.rows.filter(({ id }) => !first.some((other) => other.id === id))];
  if (rows.length === 0) return { rows, total };
  const from = rows.map(({ created_at }) => created_at.slice(0, 10)).sort()[0];
  const { callouts } = (await api.get("api/statistics", { from })).body;
  const people = Object.fromEntries(callouts.map((one) => [one.id, one.people]));
  return { rows: rows.map((row) => ({ ...row, people: people[row.id] ?? null })), total };
}

export const isDrill = (callout) => callout.metadata?.drill === true;

/** The address of a callout's page: a drill's is another one. */
export const addressOf = (callout) => href(isDrill(callout) ? "drills" : "alerts", callout.id);

/** What people call an alert: its title, else its number. */
export const titleOf = (callout) => String(callout.metadata?.title ?? callout.metadata?.name ?? t("alerts.untitled", { id: String(callout.id) }));

/** The status as people read it: an alert is not completed while of somebody nothing is known. */
export function statusOf({ status, people }) {
  const isOpen = people !== null && people.unknown + people.pending + people.calling + people.waiting > 0;
  return status === "completed" && isOpen ? "unclear" : status;
}

/** One sentence about the people of a callout. */
export function sentence(people) {
  if (!people || people.total === 0) return t("alerts.nobody");
  const reached = people.reached + people.acknowledged;
  const open = people.pending + people.calling + people.waiting;
  const parts = [t("alerts.reached", { reached, total: people.total, count: people.total })];
  if (open) parts.push(t("alerts.open", { count: open }));
  if (people.unreached) parts.push(t("alerts.unreached", { count: people.unreached }));
  if (people.unknown) parts.push(t("alerts.unknown", { count: people.unknown }));
  return parts.join(" · ");
}

export default function Alerts() {
  const [page, setPage] = useState(1);
  const { data, error, reload } = useData(() => fetched(page), [page]);
  const running = data?.rows.some(({ status }) => status === "running") ?? false;
  useEffect(() => {
    const look = async () => {
      if (document.hidden) return;
      // One small request tells whether anything has been started.
      if (running || (await api.get("api/callouts", { q: { status: "running" }, per_page: 1 })).total) reload();
    };
    const timer = setInterval(() => look().catch(() => {}), running ? RUNNING_LOOK : IDLE_LOOK);
    // A list that nobody has looked at for a while may be an old one.
    const seen = () => document.hidden || reload();
    document.addEventListener("visibilitychange", seen);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [running, reload]);
  const columns = [
    { key: "title", label: t("alerts.alert"), cell: (row) => html`${isDrill(row) && html`<span class="drill-word">${t("shell.drill")}</span> `}<a href=${addressOf(row)}>${titleOf(row)}</a>` },
    { key: "status", label: t("alerts.status"), cell: (row) => html`<${Status} status=${statusOf(row)} />` },
    { key: "people", label: t("alerts.people"), cell: (row) => sentence(row.people) },
    { key: "created_at", label: t("alerts.made", { zone: zoneName() }), cell: (row) => clock(row.created_at) },
  ];
  const actions =
    may("operator") &&
    html`<${Button} kind="primary" href=${href("alerts", "new")}>${t("alerts.new")}<//>
      <${Button} href=${href("drills", "new")}>${t("alerts.new_drill")}<//>`;
  return html`<${Page} title=${t("alerts.title")} actions=${actions}>
    <${Notice} error=${error} />
    ${data === null ? !error && html`<${Busy} />` : html`<${Table} caption=${t("alerts.title")} columns=${columns} rows=${data.rows} empty=${t("alerts.none")} />`}
    ${data && html`<${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${setPage} />`}
  <//>`;
}
