// Calls somebody who speaks the recording into the phone, and shows how far that is.

import { html, useAction, useData, useState, Button, Dialog, Field, FormDialog, Notice, Status } from "../../lib/ui.js";
import * as api from "../../lib/api.js";
import { href } from "../../lib/router.js";
import { t } from "../../lib/text.js";
import { whyOf } from "../call/why.js";
import { useCallerNumber } from "../parts/caller_number.js";
import { usePoll } from "../parts/poll.js";

const ENDED_WITHOUT = ["errored", "failed", "busy", "not_answered", "canceled"];

export function RecordByPhone({ onClose, onSaved }) {
  const [wanted, setWanted] = useState({ msisdn: "", name: "", language: "" });
  const [from, setFrom] = useCallerNumber();
  const [callId, setCallId] = useState(null);
  const change = (name) => (value) => setWanted({ ...wanted, [name]: value });
  const begin = useAction(async () => {
    const params = from ? { from } : {};
    const { body } = await api.post("api/audio_files/record", { ...wanted, language: wanted.language || null, remote_request_params: params });
    setCallId(body.phone_call_id);
  });
  if (callId !== null) return html`<${Dialog} title=${t("audio.by_phone")} onClose=${onClose}><${Progress} id=${callId} onClose=${onClose} onSaved=${onSaved} /><//>`;
  const [, { error }] = begin;
  return html`<${FormDialog} title=${t("audio.by_phone")} label=${t("audio.call_now")} action=${begin} shown=${["msisdn", "remote_request_params", "name", "language"]} onClose=${onClose}>
    <p>${t("audio.by_phone_text")}</p>
    <${Field} label=${t("audio.speaker")} name="msisdn" type="tel" value=${wanted.msisdn} onInput=${change("msisdn")} error=${error} hint=${t("contacts.number_hint")} required />
    <${Field} label=${t("settings.from")} name="remote_request_params" type="tel" value=${from} onInput=${setFrom} error=${error} hint=${t("settings.from_hint")} />
    <${Field} label=${t("audio.name")} name="name" value=${wanted.name} onInput=${change("name")} error=${error} hint=${t("audio.name_hint")} maxlength="100" required />
    <${Field} label=${t("audio.language")} name="language" value=${wanted.language} onInput=${change("language")} error=${error} hint=${t("audio.language_hint")} />
  <//>`;
}

function Progress({ id, onClose, onSaved }) {
  const { data, error, reload } = useData(async () => {
    const { body } = await api.get(`api/phone_calls/${id}`);
    if (body.metadata.audio_file?.id) await onSaved();
    return body;
  }, [id]);
  const made = data?.metadata.audio_file;
  const failed = data && (made?.error || ENDED_WITHOUT.includes(data.status));
  usePoll(!made?.id && !failed, reload);
  return html`<${Notice} error=${error} />
    <div role="status">
      ${data && html`<p><${Status} status=${data.status} /> <bdi>${whyOf(data)}</bdi></p>`}
      ${made?.error && html`<${Notice} kind="error"><bdi>${made.error}</bdi><//>`}
      ${made?.id && html`<p>${t("audio.is_there", { name: made.name })}</p>`}
      ${!made?.id && !failed && html`<p>${t("audio.by_phone_how")}</p>`}
    </div>
    <div class="actions">
      <${Button} onClick=${onClose}>${t("audio.close")}<//>
      <a class="button plain" href=${href("calls", id)}>${t("audio.to_call")}</a>
    </div>`;
}
