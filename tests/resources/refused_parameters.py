"""Parameters of batch operations that are not understood, each with its place and what is wrong there."""

from __future__ import annotations

from typing import Any

POPULATION, CREATE, QUEUE, FETCH = (
    f"BatchOperation::{name}"
    for name in ("CalloutPopulation", "PhoneCallCreate", "PhoneCallQueue", "PhoneCallQueueRemoteFetch")
)
PARAMS = {"remote_request_params": {"from": "1234"}}
OBJECT = "must be an object"
NO_TIME = "is not a date or a time (ISO 8601)"
NO_NUMBER = "is not a number"
CALLOUT_STATUSES = "(initialized, running, paused, stopped, completed)"
OUTCOMES = "(pending, calling, waiting, reached, acknowledged, unreached, excluded, unknown)"
CALL_STATUSES = (
    "(created, queued, remotely_queued, errored, remote_fetch_queued, failed, in_progress, busy, not_answered, "
    "canceled, completed)"
)

# A form, as it stands in a shell, and the place and the sentence of what is wrong in it.
FORMS: list[tuple[str, str, str]] = [
    (POPULATION, "[callout_filter_params][id]=3", f"/callout_filter_params: is not a parameter of {POPULATION}"),
    (POPULATION, "[limits]=1", f"/limits: is not a parameter of {POPULATION}"),
    (POPULATION, "[limit]=1", f"/limit: is not a parameter of {POPULATION}"),
    (POPULATION, "[Contact_filter_params][id]=1", f"/Contact_filter_params: is not a parameter of {POPULATION}"),
    (POPULATION, "[contacts_filter_params][id]=1", f"/contacts_filter_params: is not a parameter of {POPULATION}"),
    (POPULATION, "[metadata][village]=Luuq", f"/metadata: is not a parameter of {POPULATION}"),
    (POPULATION, "[contact_filter_params]=village", f"/contact_filter_params: {OBJECT}"),
    (POPULATION, "[contact_filter_params]=", f"/contact_filter_params: {OBJECT}"),
    (POPULATION, "[contact_filter_params]", f"/contact_filter_params: {OBJECT}"),
    (POPULATION, "[contact_filter_params][]=village", f"/contact_filter_params: {OBJECT}"),
    (POPULATION, "[contact_filter_params][][metadata][village]=Luuq", f"/contact_filter_params: {OBJECT}"),
    (
        POPULATION,
        "[contact_filter_params][metdata][village]=Luuq",
        "/contact_filter_params/metdata: is not a filter of contacts",
    ),
    (POPULATION, "[contact_filter_params][Id]=1", "/contact_filter_params/Id: is not a filter of contacts"),
    (POPULATION, "[contact_filter_params][id ]=1", "/contact_filter_params/id : is not a filter of contacts"),
    (POPULATION, "[contact_filter_params][ID~/x]=1", "/contact_filter_params/ID~0~1x: is not a filter of contacts"),
    (POPULATION, "[contact_filter_params][status]=x", "/contact_filter_params/status: is not a filter of contacts"),
    (
        POPULATION,
        "[contact_filter_params][contact_id]=1",
        "/contact_filter_params/contact_id: is not a filter of contacts",
    ),
    (POPULATION, "[contact_filter_params][created_at_after]=01/12/2026", NO_TIME),
    (POPULATION, "[contact_filter_params][created_at_after]=", NO_TIME),
    (POPULATION, "[contact_filter_params][created_at_after]", NO_TIME),
    (POPULATION, "[contact_filter_params][updated_at_or_before]=yesterday", NO_TIME),
    (POPULATION, "[contact_filter_params][updated_at_or_before][]=2018-05-19", NO_TIME),
    (POPULATION, "[contact_filter_params][metadata]=", f"/contact_filter_params/metadata: {OBJECT}"),
    (POPULATION, "[contact_filter_params][metadata]", f"/contact_filter_params/metadata: {OBJECT}"),
    (POPULATION, "[contact_filter_params][metadata]=village", f"/contact_filter_params/metadata: {OBJECT}"),
    (POPULATION, "[contact_filter_params][metadata][][a]=1", f"/contact_filter_params/metadata: {OBJECT}"),
    (POPULATION, "[contact_filter_params][msisdn]=345", '/contact_filter_params/msisdn: "345" is not a phone number'),
    (
        POPULATION,
        "[contact_filter_params][msisdn]=%2B252662345678,village",
        '/contact_filter_params/msisdn: "village" is not a phone number',
    ),
    (POPULATION, "[contact_filter_params][msisdn]", "/contact_filter_params/msisdn: is not a phone number"),
    (POPULATION, "[contact_filter_params][msisdn][$gt]=", "/contact_filter_params/msisdn: is not a phone number"),
    (POPULATION, "[contact_filter_params][id]=1,x", '/contact_filter_params/id: "x" is not an id'),
    (POPULATION, "[contact_filter_params][id]=0", '/contact_filter_params/id: "0" is not an id'),
    (POPULATION, "[contact_filter_params][id]=1-5", '/contact_filter_params/id: "1-5" is not an id'),
    (POPULATION, "[contact_filter_params][id]", "/contact_filter_params/id: is not an id"),
    (POPULATION, "[skip_validate_preview_presence]=maybe", "/skip_validate_preview_presence: must be true or false"),
    (QUEUE, "[remote_request_params][from]=1234", f"/remote_request_params: is not a parameter of {QUEUE}"),
    (QUEUE, "[contact_filter_params][id]=1", f"/contact_filter_params: is not a parameter of {QUEUE}"),
    (
        QUEUE,
        "[phone_call_filter_params][status]=quued",
        f'/phone_call_filter_params/status: "quued" is not a status of phone calls {CALL_STATUSES}',
    ),
    (
        QUEUE,
        "[phone_call_filter_params][status]=Created",
        f'/phone_call_filter_params/status: "Created" is not a status of phone calls {CALL_STATUSES}',
    ),
    (
        QUEUE,
        "[callout_filter_params][status]=running,queued",
        f'/callout_filter_params/status: "queued" is not a status of callouts {CALLOUT_STATUSES}',
    ),
    (QUEUE, "[phone_call_filter_params][callout_id]=1", "is not a filter of phone calls"),
    (QUEUE, "[phone_call_filter_params][remotely_queued_at_after]=1.12.", NO_TIME),
    (QUEUE, "[phone_call_filter_params][has_phone_calls]=true", "is not a filter of phone calls"),
    (FETCH, "[phone_call_filter_params][callout_participation_id]=all", '"all" is not an id'),
    (FETCH, "[callout_participation_filter_params][contact_id]", "is not an id"),
    (CREATE, "[callout_participation_filter_params][has_phone_calls]=maybe", "must be true or false"),
    (CREATE, "[callout_participation_filter_params][has_phone_calls]=", "must be true or false"),
    (CREATE, "[callout_participation_filter_params][has_phone_calls]", "must be true or false"),
    (
        CREATE,
        "[callout_participation_filter_params][last_phone_call_attempt]=faild",
        f'"faild" is not a status of phone calls {CALL_STATUSES}',
    ),
    (
        CREATE,
        "[callout_participation_filter_params][no_phone_calls_or_last_attempt]=failed,running",
        f'"running" is not a status of phone calls {CALL_STATUSES}',
    ),
    (CREATE, "[callout_participation_filter_params][last_phone_call_attempt]", "is not a status of phone calls"),
    (
        CREATE,
        "[callout_participation_filter_params][outcome]=unreached,reeched",
        f'/callout_participation_filter_params/outcome: "reeched" is not an outcome {OUTCOMES}',
    ),
    (CREATE, "[callout_participation_filter_params][outcome]", "is not an outcome"),
    (
        CREATE,
        "[callout_participation_filter_params][attempts]=0,one",
        '/callout_participation_filter_params/attempts: "one" is not a number',
    ),
    (
        CREATE,
        "[callout_participation_filter_params][attempts]",
        "/callout_participation_filter_params/attempts: is not a number",
    ),
    (CREATE, "[callout_participation_filter_params][next_attempt_at]=soon", NO_TIME),
    (
        CREATE,
        "[callout_participation_filter_params][answers]=safe",
        f"/callout_participation_filter_params/answers: {OBJECT}",
    ),
    (CREATE, "[phone_call_filter_params][id]=1", f"/phone_call_filter_params: is not a parameter of {CREATE}"),
    *[
        (kind, f"[max_per_period]=1&parameters[max_per_period_statuses]{value}", sentence)
        for kind in (CREATE, QUEUE)
        for value, sentence in (
            ("=quued", f'/max_per_period_statuses: "quued" is not a status of phone calls {CALL_STATUSES}'),
            ("=", "/max_per_period_statuses: must name a status"),
            ("=%20,", "/max_per_period_statuses: must name a status"),
            ("", "/max_per_period_statuses: is not a status of phone calls"),
        )
    ],
]
# The same in JSON, where values have types.
BODIES: list[tuple[str, Any, str]] = [
    *[(POPULATION, value, OBJECT) for value in ("foo", "", [], [{"contact_filter_params": {}}], 5, True, None)],
    *[
        (POPULATION, {"contact_filter_params": value}, f"/contact_filter_params: {OBJECT}")
        for value in (None, [], [{"id": 1}], 5, True, "")
    ],
    *[
        (POPULATION, {"contact_filter_params": {"metadata": value}}, sentence)
        for value, sentence in (
            ({}, "/contact_filter_params/metadata: must name a value"),
            ([], f"/contact_filter_params/metadata: {OBJECT}"),
            (None, f"/contact_filter_params/metadata: {OBJECT}"),
            (5, f"/contact_filter_params/metadata: {OBJECT}"),
            ({"a": {}}, "/contact_filter_params/metadata/a: must name a value"),
            ({"a": "1", "b": []}, "/contact_filter_params/metadata/b: must name a value"),
            ({"a/b": [{"c": {}}]}, "/contact_filter_params/metadata/a~1b/0/c: must name a value"),
        )
    ],
    *[
        (POPULATION, {"contact_filter_params": {"id": value}}, sentence)
        for value, sentence in (
            (True, "/contact_filter_params/id: is not an id"),
            ({"$gt": 0}, "/contact_filter_params/id: is not an id"),
            (-1, '/contact_filter_params/id: "-1" is not an id'),
            (1.5, "/contact_filter_params/id: is not an id"),
            ([1, None], "/contact_filter_params/id/1: is not an id"),
            ([1, [2]], "/contact_filter_params/id/1: is not an id"),
            (["1,2"], '/contact_filter_params/id/0: "1,2" is not an id'),
            (",".join(["1"] * 1001), "/contact_filter_params/id: has too many values (maximum is 1000)"),
            ("," * 30_000, "/contact_filter_params/id: has too many values (maximum is 1000)"),
        )
    ],
    (POPULATION, {"contact_filter_params": {"msisdn": True}}, "/contact_filter_params/msisdn: is not a phone number"),
    (
        POPULATION,
        {"contact_filter_params": {"msisdn": ["+252662345678", "345"]}},
        '/contact_filter_params/msisdn/1: "345" is not a phone number',
    ),
    (POPULATION, {"contact_filter_params": {"created_at_after": 2018}}, NO_TIME),
    (POPULATION, {"contact_filter_params": {"created_at_after": True}}, NO_TIME),
    (POPULATION, {"skip_validate_preview_presence": "yes"}, "must be true or false"),
    (QUEUE, {"phone_call_filter_params": {"status": True}}, "is not a status of phone calls"),
    (
        QUEUE,
        {"phone_call_filter_params": {"status": ["created", "quued"]}},
        "/status/1: is not a status of phone calls",
    ),
    (QUEUE, {"phone_call_filter_params": {"remote_status": 5}}, "is not a text or a list of texts"),
    (QUEUE, {"phone_call_filter_params": {"remote_error_message": [None]}}, "/remote_error_message/0: is not a text"),
    (QUEUE, {"phone_call_filter_params": {"remote_response": {}}}, "/remote_response: must name a value"),
    (QUEUE, {"max_per_period": 1, "max_per_period_statuses": []}, "/max_per_period_statuses: must name a status"),
    (QUEUE, {"callout_filter_params": {"call_flow_logic": True}}, "is not a text or a list of texts"),
    (CREATE, {"callout_participation_filter_params": {"has_phone_calls": 1}}, "must be true or false"),
]
# What stands under its own name, as it always did.
OWN: list[tuple[Any, dict[str, list[str]]]] = [
    *[
        ({name: value}, {name: [NO_NUMBER]})
        for name in ("limit", "max", "max_per_period", "max_per_period_hours")
        for value in (None, "", "one", "1.5", -1, True, [1], {"a": 1})
    ],
    *[
        ({"max_per_period_timestamp_attribute": value}, {"max_per_period_timestamp_attribute": [NOT_IN_LIST]})
        for NOT_IN_LIST in ["is not included in the list"]
        for value in (None, "", "deleted_at", ["created_at"])
    ],
]
