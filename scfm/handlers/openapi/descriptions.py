"""What the fields of bodies and answers mean, by their names: one text for all that are called alike.

A schema that describes a field itself wins. ``Callout.status``, ``approval.status`` and ``status`` are the names of a
field from the most particular: the schema, resource or operation that has it, then what it stands in, then its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scfm.models.call_lifecycle import CALL_STATUSES
from scfm.schemas import Schema

DESCRIPTIONS: Mapping[str, str] = {
    # What many have.
    "id": "Its id: ids grow from 1, over all accounts, and are not used again.",
    "account_id": "The account that it belongs to.",
    "metadata": "Whatever belongs to it: any JSON object, of up to 1 MiB.",
    "metadata_merge_mode": "How new metadata joins what is stored: by name, in its place, or by name at every level.",
    "created_at": "When it was created, in UTC with milliseconds.",
    "updated_at": "When it was changed last, in UTC with milliseconds.",
    "msisdn": "The phone number, with its country code. It is stored in one form, E.164.",
    "call_flow_logic": "The call flow that decides what is heard: a registered one, or one of the account.",
    "event": "What is to happen to it.",
    "type": "Its kind.",
    "status": "Where it is in its life.",
    "name": "What it is called.",
    "language": "The language, as a tag of BCP 47.",
    "version": "The number of the version, from 1.",
    "reason": "Why.",
    "email": "The email address, with which people sign in. It is unique over all accounts.",
    "password": "The password, with which people sign in. It is never shown.",
    "contact_id": "The contact who is called.",
    "callout_id": "The callout that it belongs to.",
    "contacts": "How many contacts there are.",
    "calls_held_at": "Since when its calls are kept from leaving; null: they leave.",
    # Contacts in bulk.
    "created": "How many lines have created one.",
    "updated": "How many lines have changed one.",
    "unchanged": "How many lines have changed nothing.",
    "failed": "How many lines were not taken, and are told under `errors`.",
    "errors": "What is wrong, line by line.",
    "errors.line": "The number of the line in the file, from 1.",
    "errors.column": "The column that it is about; null: the whole line.",
    "errors.reason": "What is wrong with it.",
    "errors_omitted": "How many more lines are wrong.",
    "columns": "The columns of the file, in its order.",
    "columns.name": "As the file has it.",
    "columns.values": "The first values.",
    "guessed": "Whether the column of the phone number was guessed by what is in it.",
    "rows": "How many lines the file has.",
    "contacts.line": "The number of the line in the file, from 1.",
    "fields": "The paths, those of the most contacts first.",
    "path": "A path in the metadata: names with dots, `metadata.address.city`.",
    "values": "The values there, those of the most contacts first.",
    "value": "The value, as text; null: who has none.",
    "fields_of_contacts.rest": "The values that are not listed, together.",
    "rest.values": "How many values they are.",
    "exported_at": "When it was made.",
    "former_msisdns": "The numbers that the person had before.",
    "opt_outs": "The opt-outs of these numbers.",
    "callout_participations": "The callouts in which the person took part, and what became of that.",
    "phone_calls": "The calls to the person, and from them.",
    "remote_phone_call_events": "What the provider has reported of these calls.",
    "audit_events": "What users did to the contact.",
    "recordings": "Where the provider keeps what the person has said.",
    "delete_contact.status": "The person is being erased.",
    # Webhooks.
    "event_types": "Which events are told.",
    "WebhookEndpoint.status": "Whether it is told anything.",
    "disabled_reason": "Why the server has disabled it; null: it has not.",
    "webhook_endpoint_id": "The endpoint that it goes to.",
    "webhook_id": "The name of the event, `webhook-id`: the same whenever it is sent again.",
    "event_type": "What has happened.",
    "WebhookDelivery.status": "Whether the endpoint has taken it, or no more is tried.",
    "WebhookDelivery.attempts": "The tries, the oldest first.",
    "WebhookDelivery.next_attempt_at": "When it is tried again; null: it is not.",
    "attempts.at": "When it was sent.",
    # Callouts.
    "plan": "Whom the callout calls, when, how fast and how often; null: it calls whoever is queued by hand.",
    "completed_at": "When everybody was settled; null: not yet.",
    "approval": "Who has submitted the plan, and who has decided on it; null: nobody has.",
    "approval.status": "What was decided, if anything.",
    "submitted_by": "Who has submitted it.",
    "submitted_at": "When it was submitted.",
    "decided_by": "Who has approved or rejected it; null: nobody yet.",
    "decided_at": "When it was decided; null: not yet.",
    "emergency.reason": "Why it is one, for the audit log.",
    "severity": "How severe it is, as CAP has it.",
    "Callout.status": "Whether its calls leave: while it is `running`. `initialized`: it has not been started.",
    "create_callout_event.event": "What is to happen to the callout; from `submit` on, where plans need approval.",
    # Participations.
    "callout_population_id": "The batch operation that has created it; null: a request of its own has.",
    "outcome": "What became of the person so far.",
    "outcome_reason": "Why the person was not reached, or is not called; null: neither is so.",
    "next_attempt_at": "When the person is called again; null: not as far as is known.",
    "last_attempt_at": "When the last call left; null: none has.",
    "answers": "What the person has replied, by name, as the call flow has collected it.",
    "attempts": "How many calls have left.",
    # Phone calls.
    "PhoneCall.status": "Where the call is: `queued` until it leaves, then as the provider reports.",
    "callout_participation_id": "The participation that it belongs to; null: none.",
    "create_batch_operation_id": "The batch operation that has created it; null: a request of its own has.",
    "queue_batch_operation_id": "The batch operation that has queued it; null: none has.",
    "queue_remote_fetch_batch_operation_id": "The batch operation that has had it fetched; null: none has.",
    "remote_call_id": "The call's id at the provider (`CallSid`); null: it has none yet.",
    "remote_status": "What the provider calls its status.",
    "remote_direction": "Who has called whom, as the provider has it: `inbound` or `outbound-api`.",
    "remote_error_message": "What went wrong at the provider, or what the call waits for.",
    "remote_response": "The call as the provider has shown it last.",
    "remote_request_params": "What the provider is asked for: `from`, `url` and other parameters of its API.",
    "remote_queue_response": "The provider's answer to the request that has placed the call.",
    "remotely_queued_at": "When the provider has accepted it.",
    "answered_by": "Who has answered, where the provider looks: `human`, `machine_start`, `fax` and others.",
    "duration": "How many seconds it has lasted.",
    "error_code": "The provider's number for what went wrong.",
    "phone_call_id": "The phone call.",
    "details": "All that the provider has sent.",
    # Batch operations.
    "BatchOperation.status": "Whether it has run: `preview` until it is queued.",
    "BatchOperation.type": "What it does.",
    "parameters": "What it is about. Each `type` has its schema, such as `/api/schemas/phone_call_queue.json`.",
    "skip_validate_preview_presence": "Whether it may be created though it would find nobody now.",
    # Accounts, tokens, users.
    "settings": "How the account calls, as `/api/schemas/account_settings.json` has it.",
    "twilio_account_sid": "The account's name at Twilio.",
    "twilio_auth_token": "What proves it to Twilio; only its last four characters are shown.",
    "twilio_signing_key": "What webhooks are signed with, where that is not the auth token.",
    "somleng_account_sid": "The account's name at Somleng.",
    "somleng_auth_token": "What proves it to Somleng; only its last four characters are shown.",
    "permissions": "`super_admin` where it administers the server.",
    "token": "The access token itself; it is shown once, when it is created.",
    "expires_at": "From when on it is refused; null: never.",
    "last_used_at": "The minute in which it was used last; null: never.",
    "invitation_token": "Not used; it is null.",
    "invitation_created_at": "Not used; it is null.",
    "invitation_sent_at": "Not used; it is null.",
    "invitation_accepted_at": "Not used; it is null.",
    "invitation_limit": "Not used; it is null.",
    "invited_by_id": "Not used; it is null.",
    "invitations_count": "Not used; it is 0.",
    "account": "The account of that user.",
    "source": "How it came about.",
    # Audit events.
    "actor": "Who it was: a user, an access token or a command.",
    "action": "What was done.",
    "subject": "What it was done to.",
    "changes": "By field, what it was before and after: `[before, after]`.",
    "request_id": "The `X-Request-Id` of the request.",
    "address": "Where the request came from.",
    # Call flows.
    "CallFlow.version": "The newest version that is published; null: none is.",
    "CallFlow.name": "What callouts and calls name it by; it is unique in the account.",
    "published_at": "When it was published.",
    "published_by": "Who has published it.",
    "warnings": "What may not be as it was meant.",
    "turns": "What the flow has said, turn by turn.",
    "twiml": "What the provider would have been told.",
    "acknowledged": "Whether the person has acknowledged.",
    "opted_out": "Whether the person does not want to be called any more.",
    "ending": "How the call ended.",
    "prompts": "How many prompts there are.",
    "step": "The name of the step.",
    "heard": "By language, what is heard; null: nothing.",
    "by": "Whether it is said, played, or said where the recording is missing.",
    "say": "What is said.",
    # Audio files.
    "AudioFile.name": "What call flows and messages call it; it is unique in the account.",
    "content_type": "The type of what was sent.",
    "bytes": "How many bytes were sent.",
    "seconds": "How long it takes, in seconds.",
    "sha256": "The SHA-256 of what was sent, in hexadecimal digits.",
    "url": "The path at which a phone gets it.",
    "start_openid_connect.url": "Where the browser is to go.",
    "file": "The recording: a WAV or an MP3.",
    # Statistics.
    "people": "How many people have each outcome.",
    "total": "All of them.",
    **{f"calls.{status}": f"How many calls are `{status}`." for status in CALL_STATUSES},
    "pending": "How many have not been called, and may be.",
    "calling": "How many have a call that is queued or going on.",
    "waiting": "How many will be called again.",
    "reached": "How many have answered, as far as is known.",
    "people.acknowledged": "How many have acknowledged.",
    "unreached": "How many will not be called any more, and were not reached.",
    "excluded": "How many are not called: their number is opted out, or another's.",
    "unknown": "How many may have been called: the provider could not be asked.",
    "calls": "How many calls have each status.",
    "reasons": "How many have each reason, of those who are `unreached` or `excluded`.",
    "statistics_of_callout.attempts": 'How many people have taken how many attempts: `{"0": 12, "1": 88}`.',
    "talk_seconds": "The seconds of all calls together.",
    "started_at": "When the callout was started first; null: it was not.",
    "first_attempt_at": "When the first call leaves, or left; null: none does.",
    "expected_end_at": "When everybody may have been called; null: nobody knows.",
    "calls_per_minute": "The last 120 minutes with calls.",
    "limited_by": "What keeps the callout from calling faster; null: nothing does.",
    "health": "Whether the provider answers, and since when it was not heard.",
    "provider": "Whether the provider takes calls: it does not answer, it refuses the account, or calls are held.",
    "provider_last_at": "When the provider has answered last.",
    "webhook_last_at": "When the account's last webhook has come.",
    "days": "The same by day, in UTC.",
    "date": "The day.",
    "callouts": "The newest callouts, with their people.",
    # Preflight.
    "excluded.opted_out": "Numbers that are opted out.",
    "duplicate_number": "Contacts whose number another one of the callout has.",
    "calls_per_second": "How many calls leave in a second.",
    "calls_at_most": "How many calls there are if nobody answers.",
    # The provider's webhook, health, errors.
    "CallSid": "The call's id at the provider.",
    "Direction": "Who has called whom.",
    "From": "The number that has called.",
    "To": "The number that was called.",
    "CallStatus": "Where the call is.",
    "Digits": "The keys that were pressed.",
    "SequenceNumber": "The number of this report among those of the call, from 0.",
    "health.status": "`ok`: the server and its database answer.",
    "health.version": "The version of the server.",
    "show_server.version": "The version of the server.",
    "create_server_event.version": "The version of the server.",
    "Problem.status": "The status of the answer.",
    "error": "The status in words.",
    "message": "What is wrong with the request, where there is more to say.",
    "Invalid.errors": "By field, what is wrong with it; `base`: with the whole.",
}


def with_descriptions(schema: Schema, *place: str) -> dict[str, Any]:
    """The schema with a description of each field that DESCRIPTIONS knows and that has none.

    PLACE are the names of what the schema is of, from the outermost inwards: ``("Callout", "approval")``.
    """
    told = {key: _described_within(key, value, place) for key, value in schema.items()}
    if isinstance(properties := schema.get("properties"), dict):
        told["properties"] = {name: _field(one, (*place, name)) for name, one in properties.items()}
    return told


def _described_within(keyword: str, value: Any, place: tuple[str, ...]) -> Any:
    """The value of a keyword of JSON Schema that holds further schemas."""
    if keyword in ("items", "additionalProperties", "not", "if", "then", "else") and isinstance(value, dict):
        return with_descriptions(value, *place)
    if keyword in ("anyOf", "oneOf", "allOf"):
        return [with_descriptions(one, *place) for one in value]
    if keyword in ("$defs", "patternProperties"):
        return {name: with_descriptions(one, *place, name) for name, one in value.items()}
    return value


def _field(schema: Schema, place: tuple[str, ...]) -> dict[str, Any]:
    told = with_descriptions(schema, *place)
    # What is referred to is described there.
    if not told.keys() & {"description", "$ref"} and (about := _about(place)) is not None:
        told["description"] = about
    return told


def _about(place: tuple[str, ...]) -> str | None:
    names: Iterable[str] = (".".join(place[begin:]) for begin in range(len(place)))
    return next((DESCRIPTIONS[name] for name in names if name in DESCRIPTIONS), None)
