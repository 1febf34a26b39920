// Around every view: the way to the others, the language, who is signed in, and whether the server is there.

import { html, useEffect, useErrorBoundary, useRef, useState, Button, Notice, Busy, Page } from "../lib/ui.js";
import { isLost, onConnection } from "../lib/connection.js";
import { may, session, signOut } from "../lib/session.js";
import { LANGUAGES, language, setLanguage, t } from "../lib/text.js";
import { here, href, load } from "../lib/router.js";

// By name in the address: the role that it takes to see it.
const PLACES = [
  ["alerts", "viewer"],
  ["contacts", "viewer"],
  ["flows", "viewer"],
  ["audio", "viewer"],
  ["calls", "viewer"],
  ["users", "admin"],
  ["tokens", "admin"],
  ["settings", "admin"],
  ["audit", "admin"],
];

function usePlace() {
  const [place, setPlace] = useState(here());
  useEffect(() => {
    const moved = () => setPlace(here());
    window.addEventListener("hashchange", moved);
    return () => window.removeEventListener("hashchange", moved);
  }, []);
  return place;
}

export function Shell() {
  const place = usePlace();
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [place.path]);
  const section = place.path.split("/")[0].replace("drills", "alerts");
  return html`<a class="skip" href="#content" onClick=${skip}>${t("shell.skip")}</a>
    <header class="top">
      <${Button} class="menu" aria-expanded=${open} aria-controls="places" onClick=${() => setOpen(!open)}>${t("shell.menu")}<//>
      <nav id="places" class=${open ? "open" : ""} aria-label=${t("shell.places")}>
        ${PLACES.filter(([, role]) => may(role)).map(
          ([name]) => html`<a key=${name} href=${href(name)} aria-current=${name === section ? "page" : undefined}>${t(`shell.${name}`)}</a>`,
        )}
      </nav>
      <${Account} />
    </header>
    <${Connection} />
    <main id="content" tabindex="-1"><${View} key=${place.path} place=${place} /></main>`;
}

/** Who is signed in: the language, and a menu with what is one's own. */
function Account() {
  const [error, setError] = useState(null);
  const choose = ({ currentTarget }) => setLanguage(currentTarget.value).catch(setError);
  return html`<div class="account">
    <select aria-label=${t("shell.language")} onChange=${choose}>
      ${Object.entries(LANGUAGES).map(([name, text]) => html`<option value=${name} lang=${name} selected=${name === language()}>${text}</option>`)}
    </select>
    <${UserMenu} onError=${setError} />
    <${Notice} error=${error} />
  </div>`;
}

function UserMenu({ onError }) {
  const [open, setOpen] = useState(false);
  // A part of the page that few need, loaded when it is.
  const [dialog, setDialog] = useState(null);
  const askForPassword = async () => {
    const component = await load("own-password");
    // Where the focus comes back to: what was pressed is hidden then.
    menu.current.firstElementChild.focus();
    setOpen(false);
    setDialog({ component });
  };
  const menu = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const left = ({ type, key, target }) => {
      if (menu.current === null) return;
      const away = type === "keydown" ? key === "Escape" : !menu.current.contains(target);
      if (away) setOpen(false);
      if (key === "Escape") menu.current.firstElementChild.focus();
    };
    const events = ["keydown", "click", "focusin"];
    for (const event of events) document.addEventListener(event, left);
    return () => events.forEach((event) => document.removeEventListener(event, left));
  }, [open]);
  return html`<div class="user-menu" ref=${menu}>
    <${Button} class="who" aria-expanded=${open} aria-controls="user-menu" onClick=${() => setOpen(!open)}><span>${session.user.email}</span><//>
    <div id="user-menu" hidden=${!open}>
      <${Button} onClick=${() => askForPassword().catch(onError)}>${t("shell.own_password")}<//>
      <${Button} onClick=${() => signOut().catch(onError)}>${t("shell.sign_out")}<//>
    </div>
    ${dialog && html`<${dialog.component} onClose=${() => setDialog(null)} />`}
  </div>`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("content").focus();
}

/** The view of a place, when it has been loaded. */
function View({ place }) {
  const [state, setState] = useState({});
  const [failure] = useErrorBoundary((error) => console.error(error));
  const view = place.view && !may(place.role) ? "denied" : place.view;
  useEffect(() => {
    window.scrollTo(0, 0);
    if (view) load(view).then((component) => setState({ component }), (error) => setState({ error }));
  }, [view]);
  if (!place.view) return html`<${NotFound} />`;
  if (failure || state.error) {
    return html`<${Notice} kind="error">
      <p>${t(failure ? "shell.broken" : "shell.not_loaded")}</p>
      <${Button} onClick=${() => location.reload()}>${t("shell.reload")}<//>
    <//>`;
  }
  if (!state.component) return html`<${Busy} />`;
  return html`<${state.component} params=${place.params} query=${place.query} role=${place.role} />`;
}

export function NotFound() {
  return html`<${Page} title=${t("shell.not_found")}>
    <p><a href=${href("alerts")}>${t("shell.to_alerts")}</a></p>
  <//>`;
}

const BACK_SECONDS = 5;

/** Says that this device has no network, or that the server does not answer; and, for a while, that it does again. */
function Connection() {
  const state = () => (!navigator.onLine ? "offline" : isLost() ? "lost" : "good");
  const [shown, setShown] = useState(state());
  useEffect(() => {
    let timer = null;
    const changed = () => {
      clearTimeout(timer);
      setShown((before) => (state() === "good" && before !== "good" ? "back" : state()));
      timer = setTimeout(() => setShown(state()), BACK_SECONDS * 1000);
    };
    const forget = onConnection(changed);
    window.addEventListener("online", changed);
    window.addEventListener("offline", changed);
    return () => {
      clearTimeout(timer);
      forget();
      window.removeEventListener("online", changed);
      window.removeEventListener("offline", changed);
    };
  }, []);
  const said = { offline: t("shell.offline"), lost: t("shell.lost"), back: t("shell.back"), good: "" }[shown];
  return html`<div role="status" class=${`connection ${shown}`}>${said}</div>`;
}
