// Holds every call of an account, or of the server, and lets them go.

import { html, useState, Button, Checkbox, Confirm } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { may } from "../../lib/session.js";
import { ago, t, time } from "../../lib/text.js";

/** `held` is when they were held, or null; `path` takes the events; `whose` is account or server, `name` which account. */
export function Hold({ held, path, whose, name, reload }) {
  const [asked, setAsked] = useState(null);
  const [hangUp, setHangUp] = useState(false);
  const act = async () => {
    await api.post(path, asked === "hold" && hangUp ? { event: "hold", hang_up: true } : { event: asked });
    await reload();
  };
  const event = held ? "release" : "hold";
  const named = (key) => (name ? `${t(key)}: ${name}` : t(key));
  return html`<p role="status">${held ? t(`settings.held_${whose}`, { when: time(held), ago: ago(held) }) : t(`settings.not_held_${whose}`)}</p>
    ${may("operator") &&
    html`<${Button} kind=${held ? "primary" : "danger"} aria-label=${name && named(`settings.${event}_${whose}`)} onClick=${() => setAsked(event)}>${t(`settings.${event}_${whose}`)}<//>`}
    ${asked &&
    html`<${Confirm} title=${named(`settings.${asked}_${whose}`)} label=${t(`settings.${asked}_${whose}`)} danger=${asked === "hold"} action=${act} onClose=${() => setAsked(null)}>
      <p>${t(`settings.${asked}_text`)}</p>
      ${asked === "hold" && html`<${Checkbox} label=${t("settings.hang_up")} checked=${hangUp} onInput=${setHangUp} />`}
    <//>`}`;
}
