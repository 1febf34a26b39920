// What views are made of: preact's html and hooks, and the components of the page.

import { Fragment, h, render } from "../vendor/preact.js";
import { useEffect, useId, useRef } from "../vendor/hooks.js";
import htm from "../vendor/htm.js";
import { useAction } from "./hooks.js";
import { onSession, session } from "./session.js";
import { hasText, language, message, number, t } from "./text.js";

/** A template of elements: html`<p class="hint">${text}</p>`. What stands in ${…} is escaped. */
export const html = htm.bind(h);
export { Fragment, h, render };
export { useCallback, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useReducer, useRef, useState } from "../vendor/hooks.js";
export { useAction, useData, useNow } from "./hooks.js";

/** What the server says, in the reader's language if there are words for it; else as English, for who has it read aloud. */
export function Said({ text }) {
  const shown = message(text);
  return shown === text && language() !== "en" ? html`<span lang="en">${text}</span>` : shown;
}

/** Several of these. */
const saidAll = (texts) => texts.map((text, index) => html`${index > 0 && "; "}<${Said} key=${text} text=${text} />`);

// Pages, buttons, notices

// The first view of a page that has just been loaded leaves the focus to the browser.
let moved = false;

/** From now on the title of a view that comes gets the focus. */
export const moveFocus = () => void (moved = true);

/** A view: its title, which gets the focus when the view comes, and what can be done, beside it. */
export function Page({ title, actions, drill = false, children }) {
  const heading = useRef(null);
  useEffect(() => {
    if (moved) heading.current.focus({ preventScroll: true });
    moveFocus();
  }, []);
  useEffect(() => {
    document.title = `${title} · scfm`;
  }, [title]);
  return html`<article class=${drill ? "page drill" : "page"}>
    <header class="page-head">
      <h1 tabindex="-1" ref=${heading}>${drill && html`<span class="drill-word">${t("shell.drill")}</span> `}${title}</h1>
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>
    ${children}
  </article>`;
}

export function Section({ title, actions, children, ...rest }) {
  const id = useId();
  return html`<section aria-labelledby=${title ? id : undefined} ...${rest}>
    ${title && html`<header class="section-head"><h2 id=${id}>${title}</h2>${actions && html`<div class="actions">${actions}</div>`}</header>`}
    ${children}
  </section>`;
}

/** A button, or, with `href`, a link that looks like one. `kind` is primary, danger or plain; busy ones do nothing. */
export function Button({ kind = "", class: own = "", busy = false, href, onClick, children, type = "button", ...rest }) {
  const look = `button ${kind} ${own}`.trim();
  if (href) return html`<a class=${look} href=${href} ...${rest}>${children}</a>`;
  const click = busy ? (event) => event.preventDefault() : onClick;
  return html`<button type=${type} class=${look} aria-busy=${busy} onClick=${click} ...${rest}>${children}</button>`;
}

/**
 * A message. With `error`, what an ApiError says: the errors of fields that no field of the form has shown
 * (`shown` are the names of those that have), with their hints.
 */
export function Notice({ kind = "info", error, shown = [], children }) {
  if (!error && !children) return null;
  const fields = Object.entries(error?.errors ?? {}).filter(([name]) => !shown.includes(name));
  const text = error && (Object.keys(error.errors ?? {}).length === 0 || fields.length === 0) ? error.message : null;
  return html`<div class=${`notice ${error ? "error" : kind}`} role=${error || kind === "error" ? "alert" : "status"}>
    ${text && html`<p>${error.isForeign ? html`<${Said} text=${text} />` : text}</p>`}
    ${fields.length > 0 &&
    html`<ul>
      ${fields.map(
        ([name, messages]) =>
          html`<li>
            <strong>${name}</strong> ${saidAll([messages].flat())}
            ${error.hints[name] && html`<p class="hint"><${Said} text=${error.hints[name]} /></p>`}
          </li>`,
      )}
    </ul>`}
    ${children}
    ${error?.again && html`<${Button} onClick=${error.again}>${t("shell.try_again")}<//>`}
  </div>`;
}

/** A status of the API in the reader's language, with its colour. */
export function Status({ status }) {
  if (!status) return null;
  const key = `status.${status}`;
  return html`<span class=${`status ${status}`}>${hasText(key) ? t(key) : status}</span>`;
}

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

export const Busy = () => html`<p class="busy" role="status">${t("shell.loading")}</p>`;

// Forms

/** A label, something to fill in, a hint and the errors of the field: `error` is an ApiError, a list or a text. */
function Labelled({ label, hint, error, name, control }) {
  const id = useId();
  const errors = [error?.errors ? (error.errors[name] ?? []) : (error ?? [])].flat();
  const advised = error?.hints?.[name];
  const advice = advised ? html`<${Said} text=${advised} />` : hint;
  const described = [errors.length && `${id}-error`, advice && `${id}-hint`].filter(Boolean).join(" ");
  const attributes = { id, name, "aria-invalid": errors.length ? "true" : undefined, "aria-describedby": described || undefined };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${control(attributes)}
    ${errors.length > 0 && html`<p class="error" id=${`${id}-error`}>${saidAll(errors)}</p>`}
    ${advice && html`<p class="hint" id=${`${id}-hint`}>${advice}</p>`}
  </div>`;
}

/** A line of text, or several with `multiline`. onInput gets the text. Other attributes go to the input. */
export function Field({ label, hint, error, name, value = "", onInput, multiline = false, type = "text", ...rest }) {
  const change = (event) => onInput?.(event.currentTarget.value);
  const control = (attributes) =>
    multiline
      ? html`<textarea ...${attributes} ...${rest} value=${value} onInput=${change}></textarea>`
      : html`<input type=${type} ...${attributes} ...${rest} value=${value} onInput=${change} />`;
  return html`<${Labelled} ...${{ label, hint, error, name, control }} />`;
}

/** A choice of `options`: texts, or [value, text] pairs. onInput gets the value. */
export function Select({ label, hint, error, name, value, options, onInput, ...rest }) {
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const control = (attributes) => html`<select ...${attributes} ...${rest} onChange=${(event) => onInput?.(event.currentTarget.value)}>
    ${pairs.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}
  </select>`;
  return html`<${Labelled} ...${{ label, hint, error, name, control }} />`;
}

/** A box to tick. onInput gets true or false. */
export function Checkbox({ label, checked, onInput, ...rest }) {
  return html`<label class="check">
    <input type="checkbox" checked=${checked} onChange=${(event) => onInput?.(event.currentTarget.checked)} ...${rest} />
    <span>${label}</span>
  </label>`;
}

/** A form that only calls onSubmit. */
export function Form({ onSubmit, children, ...rest }) {
  const submit = (event) => {
    event.preventDefault();
    onSubmit(event);
  };
  return html`<form onSubmit=${submit} ...${rest}>${children}</form>`;
}

// Tables, which become cards where the screen is narrow

/**
 * A table of `rows`: objects with an `id`. `columns` are {key, label, cell(row), numeric}; without `cell` it is row[key].
 * The first column names its row. `empty` is said when there are no rows; `caption` names the table for screen readers.
 */
export function Table({ columns, rows, empty, caption }) {
  if (rows.length === 0) return html`<${Empty}>${empty ?? t("shell.nothing")}<//>`;
  const look = (column) => (column.numeric ? "numeric" : undefined);
  return html`<table class="cards">
    ${caption && html`<caption class="unseen">${caption}</caption>`}
    <thead>
      <tr>${columns.map((column) => html`<th scope="col" key=${column.key} class=${look(column)}>${column.label}</th>`)}</tr>
    </thead>
    <tbody>
      ${rows.map(
        (row, index) => html`<tr key=${row.id ?? index}>
          ${columns.map((column, place) => {
            const content = column.cell ? column.cell(row) : shown(row[column.key]);
            const name = { key: column.key, class: look(column), "data-label": column.label };
            return place === 0 ? html`<th scope="row" ...${name}>${content}</th>` : html`<td ...${name}>${content}</td>`;
          })}
        </tr>`,
      )}
    </tbody>
  </table>`;
}

function shown(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return number(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Back and forth in a list of `total`; onPage gets the number of a page, from 1. */
export function Paging({ page, perPage = 25, total, onPage }) {
  const last = Math.max(1, Math.ceil(total / perPage));
  // Of a page that is gone, what was on it having been deleted, there is a way back.
  if (last === 1 && page <= 1) return null;
  const to = (number_, text) => html`<button type="button" disabled=${number_ < 1 || number_ > last} onClick=${() => onPage(number_)}>${text}</button>`;
  return html`<nav class="paging" aria-label=${t("shell.pages")}>
    ${to(Math.min(page - 1, last), t("shell.previous"))}
    <span>${t("shell.page_of", { page, last, count: total })}</span>
    ${to(page + 1, t("shell.next"))}
  </nav>`;
}

// Dialogs: the browser keeps the focus inside, and closes them by Escape

/**
 * A dialog over the page, while it is rendered; onClose is called when the user wants it away, but not while it is `busy`:
 * what comes of that is told in it.
 */
export function Dialog({ title, onClose, children, kind = "", busy = false }) {
  const dialog = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    // While somebody has to sign in again, what is over the page must not be over the form.
    const forget = onSession(() => {
      if (session.user === null) dialog.current?.close();
      else if (!dialog.current?.open) dialog.current?.showModal();
    });
    return () => {
      forget();
      before?.focus?.();
    };
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    if (!busy) onClose();
  };
  // Browsers close a dialog at the second Escape, whatever is said to the first.
  const closed = () => {
    if (session.user === null || dialog.current?.open) return;
    if (busy) dialog.current?.showModal();
    else onClose();
  };
  return html`<dialog class=${kind} ref=${dialog} aria-labelledby=${id} onCancel=${cancel} onClose=${closed}>
    <h2 id=${id}>${title}</h2>
    ${children}
    <p class="unseen" role="status">${busy ? t("shell.working") : ""}</p>
  </dialog>`;
}

/**
 * A dialog with a form, whose `children` are the fields, and a way out. `action` is what useAction gives: it is run when
 * `label` is pressed; of its errors those of the fields named `shown` stand at the fields.
 */
export function FormDialog({ title, label, kind = "primary", action, shown, disabled, onClose, children }) {
  const [run, { busy, error }] = action;
  return html`<${Dialog} title=${title} busy=${busy} onClose=${onClose}>
    <${Form} onSubmit=${run}>
      ${children}
      <${Notice} error=${error} shown=${shown} />
      <div class="actions">
        <${Button} type="submit" kind=${kind} busy=${busy} disabled=${disabled}>${busy ? t("shell.working") : label}<//>
        <${Button} disabled=${busy} onClick=${onClose}>${t("shell.cancel")}<//>
      </div>
    <//>
  <//>`;
}

/** The second step of what cannot be undone: `action` runs when `label` is pressed; the dialog stays until it is over, and shows what it throws. */
export function Confirm({ title, label, action, onClose, danger = true, children }) {
  const [run, { busy, error }] = useAction(async () => {
    await action();
    onClose();
  });
  return html`<${Dialog} title=${title} busy=${busy} onClose=${onClose}>
    ${children}
    <${Notice} error=${error} />
    <div class="actions">
      <${Button} kind=${danger ? "danger" : "primary"} busy=${busy} onClick=${run}>${busy ? t("shell.working") : label}<//>
      <${Button} disabled=${busy} onClick=${onClose} autofocus>${t("shell.cancel")}<//>
    </div>
  <//>`;
}
