"""What an answer must look like: the keys of each resource, and how a printed answer compares with a real one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from email.message import Message
from typing import Any

# The fields of each resource in the order they are shown.
KEYS = {
    "contacts": "id msisdn metadata created_at updated_at account_id",
    "callouts": "id status call_flow_logic metadata created_at updated_at account_id plan completed_at approval",
    "batch_operations": "id callout_id parameters metadata status created_at updated_at account_id type",
    "callout_participations": (
        "id callout_id contact_id callout_population_id msisdn call_flow_logic metadata created_at updated_at "
        "outcome outcome_reason attempts next_attempt_at last_attempt_at answers"
    ),
    "phone_calls": (
        "id callout_participation_id contact_id create_batch_operation_id queue_batch_operation_id "
        "queue_remote_fetch_batch_operation_id status msisdn remote_call_id remote_status remote_direction "
        "remote_error_message metadata remote_response remote_request_params remote_queue_response "
        "call_flow_logic remotely_queued_at created_at updated_at answered_by duration error_code"
    ),
}
EVENTS = {
    "callout_events": "callouts",
    "batch_operation_events": "batch_operations",
    "phone_call_events": "phone_calls",
}

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PROVIDER_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
VOLATILE_HEADERS = {
    "x-request-id": UUID,
    "x-runtime": re.compile(r"\d+\.\d+"),
    "etag": re.compile(r'(W/)?"[0-9a-f]+"'),
}
# How the body is cut for the wire is each hop's own affair (RFC 9112, section 6.1).
HOP_BY_HOP = {"transfer-encoding"}


def keys(resource: str) -> list[str]:
    """The fields of ``resource``, a plural name as in a path, in the order they are shown."""
    return KEYS[resource].split()


def resource_of(path: str) -> str:
    """The resource that a path of the API answers with: ``contacts`` for ``/api/batch_operations/1/contacts``."""
    last = next(part for part in reversed(path.split("/")) if not part.isdigit())
    return EVENTS.get(last, last)


class Names:
    """Which of our sids stands for which printed one: found where it first appears, and the same ever after."""

    def __init__(self) -> None:
        self.ours: dict[str, str] = {}

    def agree(self, printed: str, ours: str) -> bool:
        """Whether the texts are the same but for times, which need their form only, and sids."""
        for form in (TIME, PROVIDER_TIME):
            if form.fullmatch(printed):
                return bool(form.fullmatch(ours))
        pairs = zip(UUID.findall(printed), UUID.findall(ours), strict=False)
        return UUID.sub("", printed) == UUID.sub("", ours) and all(self._same(*pair) for pair in pairs)

    def _same(self, printed: str, ours: str) -> bool:
        if printed not in self.ours and ours not in self.ours.values():
            self.ours[printed] = ours
        return self.ours.get(printed) == ours


def compare_answers(printed: Any, ours: Any, resource: str, names: Names) -> Iterator[str]:
    """Every difference between a printed answer and ours, in words.

    Ours must have all the keys of the resource, in order, also those that the guide leaves out.
    """
    if isinstance(printed, list) and isinstance(ours, list):
        if len(printed) != len(ours):
            yield f"{len(printed)} are printed, ours are {len(ours)}: {ours}"
        for index, (theirs, mine) in enumerate(zip(printed, ours, strict=False)):
            yield from _compare_members(theirs, mine, resource, f"[{index}]", names)
    elif isinstance(printed, dict) and "id" in printed:
        yield from _compare_members(printed, ours, resource, "", names)
    else:
        yield from _compare(printed, ours, "", names)


def compare_headers(printed: Sequence[tuple[str, str]], ours: Message) -> Iterator[str]:
    """Every header that is printed and that ours lacks or has otherwise."""
    for name, value in printed:
        key, mine = name.lower(), ours.get(name)
        if key not in HOP_BY_HOP and (mine is None or not _same_header(key, value, mine)):
            yield f"{name}: {value!r} is printed, ours is {mine!r}"


def _compare_members(printed: Any, ours: Any, resource: str, where: str, names: Names) -> Iterator[str]:
    if not isinstance(ours, dict) or list(ours) != keys(resource):
        yield f"{where} has not the keys of {resource}: {ours}"
    else:
        yield from _compare(printed, {key: ours[key] for key in ours if key in printed}, where, names)


def _compare(printed: Any, ours: Any, where: str, names: Names) -> Iterator[str]:
    if isinstance(printed, dict) and isinstance(ours, dict) and list(printed) == list(ours):
        for key in printed:
            yield from _compare(printed[key], ours[key], f"{where}.{key}", names)
    elif isinstance(printed, list) and isinstance(ours, list) and len(printed) == len(ours):
        for index, pair in enumerate(zip(printed, ours, strict=True)):
            yield from _compare(*pair, f"{where}[{index}]", names)
    elif not _same_value(printed, ours, names):
        yield f"{where}: {printed!r} is printed, ours is {ours!r}"


def _same_value(printed: Any, ours: Any, names: Names) -> bool:
    if isinstance(printed, str) and isinstance(ours, str):
        return names.agree(printed, ours)
    return type(printed) is type(ours) and bool(printed == ours)


def _same_header(key: str, printed: str, ours: str) -> bool:
    if form := VOLATILE_HEADERS.get(key):
        return bool(form.fullmatch(printed) and form.fullmatch(ours))
    if key == "content-type":  # The name of a charset has no case (RFC 9110, section 8.3.2).
        return printed.lower() == ours.lower()
    return printed == ours
