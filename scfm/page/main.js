// Begins the page: the texts, who is signed in, and then the shell with the view that the address names.

import { html, render } from "./lib/ui.js";
import { pause } from "./lib/connection.js";
import { allTexts, firstLanguage, language, onLanguage, setLanguage } from "./lib/text.js";
import { isExpired, load, onSession, session } from "./lib/session.js";
import { forgetEmail, prepareSignIn, returnToAddress, showSignIn } from "./views/sign-in.js";
import { Shell } from "./views/shell.js";

const LAST_DELAY = 15_000;
const OTHER_TEXTS_DELAY = 2_000;
const root = document.documentElement;
const page = document.getElementById("page");
let user = null;

function show() {
  const signedIn = session.user !== null;
  root.dataset.state = signedIn ? "signed-in" : "signed-out";
  if (!signedIn) {
    // What was being done when a session ended stays behind the form; who has signed out leaves nothing.
    if (user !== null && !isExpired()) {
      beginAnew();
      forgetEmail();
      user = null;
    }
    showSignIn();
    return;
  }
  if (user !== null && user !== session.user.id) beginAnew();
  user = session.user.id;
  document.getElementById("loading")?.remove();
  render(html`<${Shell} key=${language()} />`, page);
  // What is shown at first needs few of them; the others come behind it.
  setTimeout(() => allTexts().catch(() => {}), OTHER_TEXTS_DELAY);
}

/** Leave the view, and its address: neither is the next user's. */
function beginAnew() {
  render(null, page);
  history.replaceState(null, "", location.pathname);
}

async function begin() {
  await setLanguage(firstLanguage(), false);
  await load();
  prepareSignIn();
  if (session.user) returnToAddress();
  onLanguage(() => session.user && show());
  onSession(show);
  show();
}

/** Begin, again and again while the server does not answer. */
async function beginAtLast() {
  for (let delay = 1_000; ; delay = Math.min(delay * 2, LAST_DELAY)) {
    try {
      await begin();
      return;
    } catch (error) {
      const loading = document.getElementById("loading");
      loading.textContent = loading.dataset.failed;
      root.dataset.state = "waiting";
      await pause(delay * (0.5 + Math.random()));
    }
  }
}

beginAtLast();
