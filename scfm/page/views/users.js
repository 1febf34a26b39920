// The people who sign in: who they are, and what each may do.

import { html, useAction, useData, useState, Busy, Button, Confirm, Field, FormDialog, Notice, Page, Paging, Select, Table } from "../lib/ui.js";
import * as api from "../lib/api.js";
import { replaceQuery } from "../lib/router.js";
import { ROLES, may, session } from "../lib/session.js";
import { clock, t } from "../lib/text.js";
import { PASSWORD_LENGTH } from "./parts/passwords.js";
import { roleOptions } from "./parts/roles.js";
import "./parts/style.js";

const PER_PAGE = 25;

export default function Users({ query }) {
  const page = Number(query.page) || 1;
  const { data, error, reload } = useData(() => api.get("api/users", { page, per_page: PER_PAGE }), [page]);
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const ask = (kind, user) => () => setDialog({ kind, user });
  const columns = [
    { key: "email", label: t("sign_in.email"), cell: (user) => html`<bdi>${user.email}</bdi>${isOwn(user) && html` <strong>${t("users.you")}</strong>`}` },
    { key: "role", label: t("users.role"), cell: (user) => t(`users.role_${user.role ?? "admin"}`) },
    { key: "created_at", label: t("contacts.added"), cell: (user) => clock(user.created_at) },
    ...(may("admin") ? [{ key: "actions", label: t("audio.more"), cell: (user) => html`<${Actions} user=${user} ask=${ask} />` }] : []),
  ];
  const add = may("admin") && html`<${Button} kind="primary" onClick=${ask("add")}>${t("users.add")}<//>`;
  return html`<${Page} title=${t("users.title")} actions=${add}>
    <${Notice} error=${error} />
    ${!data && !error && html`<${Busy} />`}
    ${data &&
    html`<${Table} caption=${t("users.title")} columns=${columns} rows=${data.body} />
      <${Paging} page=${page} perPage=${PER_PAGE} total=${data.total} onPage=${(next) => replaceQuery({ page: next })} />`}
    <dl class="facts roles">${ROLES.map((role) => html`<div key=${role}><dt>${t(`users.role_${role}`)}</dt><dd>${t(`users.may_${role}`)}</dd></div>`)}</dl>
    ${dialog && html`<${UserDialog} ...${dialog} onClose=${close} onSaved=${reload} />`}
  <//>`;
}

const isOwn = (user) => user.id === session.user.id;

/** What can be done with a user. Nobody changes the own role, or deletes oneself. */
function Actions({ user, ask }) {
  return html`<div class="actions">
    <${Button} kind="plain" onClick=${ask("password", user)}>${t("users.new_password")}<//>
    ${!isOwn(user) &&
    html`<${Button} kind="plain" onClick=${ask("role", user)}>${t("users.change_role")}<//>
      <${Button} kind="plain" onClick=${ask("delete", user)}>${t("users.delete")}<//>`}
  </div>`;
}

function UserDialog({ kind, user, onClose, onSaved }) {
  if (kind === "delete") {
    const remove = async () => {
      await api.remove(`api/users/${user.id}`);
      await onSaved();
    };
    return html`<${Confirm} title=${t("users.delete_title", { email: user.email })} label=${t("users.delete")} action=${remove} onClose=${onClose}>
      <p>${t("users.delete_text")}</p>
    <//>`;
  }
  return html`<${UserForm} kind=${kind} user=${user} onClose=${onClose} onSaved=${onSaved} />`;
}

function UserForm({ kind, user, onClose, onSaved }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState(user ? (user.role ?? "admin") : "operator");
  const save = useAction(async () => {
    if (kind === "add") await api.post("api/users", { email, password, role });
    else await api.patch(`api/users/${user.id}`, kind === "role" ? { role } : { password });
    await onSaved();
    onClose();
  });
  const [, { error }] = save;
  return html`<${FormDialog} title=${t(`users.${kind}_title`, { email: user?.email ?? "" })} label=${t("contacts.save")} action=${save} shown=${["email", "role", "password"]} onClose=${onClose}>
    ${kind === "add" && html`<${Field} label=${t("sign_in.email")} name="email" type="email" autocomplete="off" value=${email} onInput=${setEmail} error=${error} required />`}
    ${kind !== "password" && html`<${Select} label=${t("users.role")} name="role" value=${role} options=${roleOptions()} onInput=${setRole} error=${error} hint=${t(`users.may_${role}`)} />`}
    ${kind !== "role" && html`<${Field} label=${t("users.password")} name="password" type="password" autocomplete="new-password" value=${password} onInput=${setPassword} error=${error} hint=${t("users.password_hint")} required ...${PASSWORD_LENGTH} />`}
  <//>`;
}
