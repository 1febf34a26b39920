// The sign-in form. It stands in index.html, so that it is there before any script; this makes it work.

import * as api from "../lib/api.js";
import { moveFocus } from "../lib/ui.js";
import { isExpired, signIn } from "../lib/session.js";
import { LANGUAGES, language, onLanguage, setLanguage, t } from "../lib/text.js";

const element = (name) => document.getElementById(`sign-in-${name}`);

/** Make the form work. */
export function prepareSignIn() {
  element("languages").replaceChildren(...Object.entries(LANGUAGES).map(([name, text]) => languageButton(name, text)));
  label();
  onLanguage(label);
  element("form").addEventListener("submit", submit);
  element("button").disabled = false;
  offerOidc();
  // An organisation's own sign-in sends people back with what went wrong there.
  const { pathname, search, hash } = location;
  const problem = new URLSearchParams(search).get("sign_in");
  if (search) history.replaceState(null, "", pathname + hash);
  if (problem === "refused") say(t("sign_in.refused"));
  if (problem === "unavailable") say(t("sign_in.unavailable"));
}

const ADDRESS = "scfm.address";

/** Go to where somebody was before they left to sign in elsewhere. */
export function returnToAddress() {
  const address = sessionStorage.getItem(ADDRESS);
  sessionStorage.removeItem(ADDRESS);
  if (address && !location.hash) location.replace(address);
}

/** Show the form: say why, if a session has ended, and put the cursor where something is to be typed. */
export function showSignIn() {
  document.title = `${t("sign_in.title")} · scfm`;
  moveFocus();
  if (isExpired()) say(t("sign_in.ended"));
  (element("email").value ? element("password") : element("email")).focus();
}

/** The next who signs in is somebody else. */
export const forgetEmail = () => void (element("email").value = "");

function label() {
  for (const one of document.querySelectorAll("#sign-in [data-text]")) one.textContent = t(one.dataset.text);
  for (const one of element("languages").children) one.setAttribute("aria-pressed", String(one.lang === language()));
}

function languageButton(name, text) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "plain", textContent: text, lang: name });
  button.addEventListener("click", () => setLanguage(name).catch((error) => say(error.message)));
  return button;
}

function say(message) {
  element("error").textContent = message;
  element("error").hidden = message === "";
}

async function submit(event) {
  event.preventDefault();
  const [email, password, button] = ["email", "password", "button"].map(element);
  if (button.hasAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  say("");
  try {
    await signIn(email.value.trim(), password.value);
    password.value = "";
  } catch (error) {
    say(explained(error));
    password.select();
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function explained(error) {
  if (error.status === 401) return t("sign_in.wrong");
  if (error.status === 429) return t("sign_in.too_many");
  return error.message;
}

/** Show the button of the organisation's own sign-in, where the server has one. */
async function offerOidc() {
  const { body } = await api.get("session/oidc", {}, { renew: false }).catch(() => ({ body: null }));
  if (!body?.url) return;
  element("oidc").href = body.url;
  element("oidc").addEventListener("click", () => sessionStorage.setItem(ADDRESS, location.hash));
  element("oidc").hidden = false;
}
