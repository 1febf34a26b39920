"""A client's rehearsal of a call flow: a call through its draft, or one of its versions, that touches nothing."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from scfm.errors import Invalid
from scfm.models.call_flow_check import WALKS, audio_paths
from scfm.models.call_flow_publication import chosen_version
from scfm.models.scope import Scope
from scfm.runtime.offload import offload_long
from scfm.schemas import Formats, pointer, violations
from scfm.storage.query import Document
from scfm.twiml.definition import Definition, Example
from scfm.twiml.definition_examples import rehearse_example
from scfm.twiml.definition_flow import definition_flow
from scfm.twiml.flow import FlowSettings

# What a client may say of the call.
GIVEN = ("callee", "contact", "callout")


async def rehearse_flow(
    scope: Scope, flow: Document, settings: FlowSettings, webhook: str, given: Document
) -> Document:
    """The rehearsal that a client asks for, as it is shown. SETTINGS are those of the account's turns.

    WEBHOOK is the address at which the provider would ask. Raises Invalid where a call cannot be as GIVEN says.
    """
    example = _example(given)
    chosen = await chosen_version(scope, flow, given.get("version"))
    audio = await audio_paths(scope.view, chosen.definition) if chosen.audio is None else chosen.audio
    definition, number = cast(Definition, chosen.definition), chosen.number
    made = partial(definition_flow, flow["name"], definition, number, audio)
    async with WALKS.slot(scope.view.account_id):
        rehearsed = await offload_long(lambda: rehearse_example(made(), example, settings, webhook))
    return rehearsed.document()


def _example(given: Document) -> Example:
    """The call that a client describes; raises Invalid with all that is wrong with it."""
    call: dict[str, Any] = {name: given[name] for name in GIVEN if given.get(name) is not None}
    errors: dict[str, list[str]] = {}
    for path, message in violations("call_flow_rehearsal", call, Formats({})).items():
        place = pointer(path[1:])
        errors.setdefault(str(path[0]), []).append(f"{place}: {message}" if place else message)
    if errors:
        raise Invalid(errors)
    return cast(Example, {"callee": [], **call})
