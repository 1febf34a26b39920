// Audio files: listened to, sent, recorded here or by phone, renamed and deleted.

import { html, useData, useState, Busy, Button, Confirm, Notice, Page, Paging, Table } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { replaceQuery } from "../lib/router.js";
import { may } from "../lib/session.js";
import { clock, duration, number, t } from "../lib/text.js";
import { ChangeDialog } from "./audio/change.js";
import { NewAudio } from "./audio/new.js";
import { RecordByPhone } from "./audio/by_phone.js";
import { UseDialog } from "./audio/use.js";
import { languageName } from "./parts/language_name.js";
import "./parts/style.js";

const PER_PAGE = 25;

export default function Audio({ query }) {
  const page = Number(query.page) || 1;
  const { data, error, reload } = useData(() => api.newest("api/audio_files", {}, page, PER_PAGE), [page]);
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const actions =
    may("operator") &&
    html`<${Button} onClick=${() => setDialog({ kind: "phone" })}>${t("audio.by_phone")}<//>
      <${Button} kind="primary" onClick=${() => setDialog({ kind: "new" })}>${t("audio.add")}<//>`;
  const ask = (kind, file) => () => setDialog({ kind, file });
  return html`<${Page} title=${t("audio.title")} actions=${actions}>
    <p>${t("audio.about")}</p>
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${data &&
    html`<${Table} caption=${t("audio.title")} columns=${columns(ask)} rows=${data.rows} empty=${t("audio.none")} />
      <${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${(next) => replaceQuery({ page: next })} />`}
    ${dialog && html`<${AudioDialog} ...${dialog} onClose=${close} onSaved=${reload} />`}
  <//>`;
}

function columns(ask) {
  return [
    { key: "name", label: t("audio.name"), cell: (file) => html`<bdi>${file.name}</bdi>` },
    { key: "listen", label: t("audio.listen"), cell: (file) => html`<audio controls preload="none" src=${api.href(file.url)} aria-label=${t("audio.listen_to", { name: file.name })}></audio>` },
    { key: "language", label: t("audio.language"), cell: (file) => file.language && languageName(file.language) },
    { key: "seconds", label: t("audio.length"), numeric: true, cell: (file) => duration(file.seconds) },
    { key: "bytes", label: t("audio.size"), numeric: true, cell: (file) => number(file.bytes / 1024, { style: "unit", unit: "kilobyte", maximumFractionDigits: 0 }) },
    { key: "created_at", label: t("audio.added"), cell: (file) => clock(file.created_at) },
    { key: "actions", label: t("audio.more"), cell: (file) => html`<${Actions} file=${file} ask=${ask} />` },
  ];
}

function Actions({ file, ask }) {
  return html`<div class="actions">
    <${Button} kind="plain" onClick=${ask("use", file)}>${t("audio.where_used")}<//>
    <a class="button plain" href=${api.href(`api/audio_files/${file.id}/original`)} download>${t("audio.original")}</a>
    ${may("operator") &&
    html`<${Button} kind="plain" onClick=${ask("change", file)}>${t("audio.change")}<//>
      <${Button} kind="plain" onClick=${ask("delete", file)}>${t("audio.delete")}<//>`}
  </div>`;
}

function AudioDialog({ kind, file, onClose, onSaved }) {
  if (kind === "new") return html`<${NewAudio} onClose=${onClose} onSaved=${onSaved} />`;
  if (kind === "phone") return html`<${RecordByPhone} onClose=${onClose} onSaved=${onSaved} />`;
  if (kind === "use") return html`<${UseDialog} file=${file} onClose=${onClose} />`;
  if (kind === "change") return html`<${ChangeDialog} file=${file} onClose=${onClose} onSaved=${onSaved} />`;
  const remove = async () => {
    await api.remove(`api/audio_files/${file.id}`);
    await onSaved();
  };
  return html`<${Confirm} title=${t("audio.delete_title", { name: file.name })} label=${t("audio.delete")} action=${remove} onClose=${onClose}>
    <p>${t("audio.delete_text")}</p>
  <//>`;
}
