// Access tokens: what programs show in place of a password.

import { html, useAction, useData, useState, Busy, Button, Confirm, Dialog, Field, FormDialog, Notice, Page, Paging, Select, Table } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { replaceQuery } from "../lib/router.js";
import { may } from "../lib/session.js";
import { ago, clock, t, time, zoneName } from "../lib/text.js";
import { roleOptions } from "./parts/roles.js";
import "./parts/style.js";

const PER_PAGE = 25;

export default function Tokens({ query }) {
  const page = Number(query.page) || 1;
  const { data, error, reload } = useData(() => api.newest("api/access_tokens", {}, page, PER_PAGE), [page]);
  const [making, setMaking] = useState(false);
  const [doomed, setDoomed] = useState(null);
  const remove = async () => {
    await api.remove(`api/access_tokens/${doomed.id}`);
    await reload();
  };
  const columns = [
    { key: "id", label: t("tokens.token"), cell: (token) => html`<bdi>${nameOf(token)}</bdi>` },
    { key: "role", label: t("users.role"), cell: (token) => t(`users.role_${token.role ?? "admin"}`) },
    { key: "created_at", label: t("tokens.made"), cell: (token) => clock(token.created_at) },
    { key: "last_used_at", label: t("tokens.last_used"), cell: (token) => (token.last_used_at ? ago(token.last_used_at) : t("tokens.never")) },
    { key: "expires_at", label: t("tokens.expires"), cell: (token) => html`<${Expiry} token=${token} />` },
    ...(may("admin")
      ? [{ key: "actions", label: t("audio.more"), cell: (token) => html`<${Button} kind="plain" onClick=${() => setDoomed(token)}>${t("tokens.delete")}<//>` }]
      : []),
  ];
  const make = may("admin") && html`<${Button} kind="primary" onClick=${() => setMaking(true)}>${t("tokens.make")}<//>`;
  return html`<${Page} title=${t("tokens.title")} actions=${make}>
    <p>${t("tokens.about")}</p>
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${data &&
    html`<${Table} caption=${t("tokens.title")} columns=${columns} rows=${data.rows} empty=${t("tokens.none")} />
      <${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${(next) => replaceQuery({ page: next })} />`}
    ${making && html`<${NewToken} onClose=${() => setMaking(false)} onSaved=${reload} />`}
    ${doomed &&
    html`<${Confirm} title=${t("tokens.delete_title", { name: nameOf(doomed) })} label=${t("tokens.delete")} action=${remove} onClose=${() => setDoomed(null)}>
      <p>${t("tokens.delete_text")}</p>
    <//>`}
  <//>`;
}

function nameOf(token) {
  const number = t("tokens.number", { id: String(token.id) });
  return typeof token.metadata.name === "string" ? `${token.metadata.name} (${number})` : number;
}

function Expiry({ token }) {
  if (!token.expires_at) return t("tokens.no_expiry");
  const over = new Date(token.expires_at) <= Date.now();
  return over ? html`<strong class="error">${t("tokens.expired", { when: ago(token.expires_at) })}</strong>` : time(token.expires_at);
}

function NewToken({ onClose, onSaved }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const [expires, setExpires] = useState("");
  const [token, setToken] = useState(null);
  const make = useAction(async () => {
    const expires_at = expires ? new Date(expires).toISOString() : null;
    const { body } = await api.post("api/access_tokens", { role, expires_at, metadata: name ? { name } : {} });
    setToken(body.token);
    await onSaved();
  });
  if (token) return html`<${Dialog} title=${t("tokens.made_title")} onClose=${onClose}><${Shown} token=${token} onClose=${onClose} /><//>`;
  const [, { error }] = make;
  return html`<${FormDialog} title=${t("tokens.make")} label=${t("tokens.make")} action=${make} shown=${["metadata", "role", "expires_at"]} onClose=${onClose}>
    <${Field} label=${t("tokens.name")} name="metadata" value=${name} onInput=${setName} error=${error} hint=${t("tokens.name_hint")} maxlength="100" />
    <${Select} label=${t("users.role")} name="role" value=${role} options=${roleOptions()} onInput=${setRole} error=${error} hint=${t(`users.may_${role}`)} />
    <${Field} label=${t("tokens.expires_at")} name="expires_at" type="datetime-local" value=${expires} onInput=${setExpires} error=${error} hint=${t("tokens.expires_hint", { zone: zoneName() })} />
  <//>`;
}

/** The token, which the server does not know any more. */
function Shown({ token, onClose }) {
  const [copied, setCopied] = useState(null);
  const copy = () =>
    (navigator.clipboard?.writeText(token) ?? Promise.reject()).then(
      () => setCopied("tokens.copied"),
      () => setCopied("tokens.not_copied"),
    );
  return html`<p>${t("tokens.once")}</p>
    <p><code class="token" tabindex="0">${token}</code></p>
    <p role="status">${copied && t(copied)}</p>
    <div class="actions">
      <${Button} kind="primary" onClick=${copy}>${t("tokens.copy")}<//>
      <${Button} onClick=${onClose}>${t("tokens.kept")}<//>
    </div>`;
}
