"""What is wrong with a definition in its account: what is checked when it is stored, and when it is published."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, cast

import orjson

from scfm.errors import Invalid
from scfm.models import hints
from scfm.models.audio_use import AUDIO_COLLECTION
from scfm.models.dial_allow_list import dial_allow_list
from scfm.models.fields import BLANK, NO_OBJECT, FieldError, check_json
from scfm.runtime.account_concurrency import AccountConcurrency
from scfm.runtime.offload import offload, offload_long
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView
from scfm.twiml.definition import MAX_DEFINITION_BYTES, Definition, audio_name
from scfm.twiml.definition_checks import Findings, Known, check_definition
from scfm.twiml.definition_examples import CheckedExamples, check_examples
from scfm.twiml.definition_flow import DefinitionFlow, definition_flow
from scfm.twiml.definition_paths import CheckedPaths, check_paths
from scfm.twiml.flow import FlowSettings

# Of an account one publish, or one rehearsal, is walked at a time; its others wait for so many seconds.
MAX_WALK_WAIT_SECONDS = 30.0
WALKS = AccountConcurrency("rehearsals and publishes of call flows", 1, MAX_WALK_WAIT_SECONDS)
# Objects and lists in one another.
MAX_LEVELS = 32
DEFINITION_TOO_LONG = f"is too long (maximum is {MAX_DEFINITION_BYTES} bytes of JSON): divide the flow in two"


class CheckedFlow(NamedTuple):
    """A version that may be published: its definition, and the paths of the audio files that it plays, by name."""

    definition: Document
    audio: dict[str, str]
    paths: CheckedPaths


async def read_definition(view: TenantView, given: Any, *, form: bool = False) -> tuple[Document, list[str]]:
    """The definition that a client gives, and what may be better of it; raises FieldError with all that is wrong.

    FORM: it is JSON in a text, as a form has no other type for it.
    """
    if form and isinstance(given, str) and given.strip():
        given = _parsed(given)
    if given is None or given == "":
        raise FieldError(BLANK, hint=hints.DEFINITION)
    if not isinstance(given, dict):
        raise FieldError(NO_OBJECT, hint=hints.DEFINITION)
    check_json(given)
    findings = await findings_of(view, given, await audio_paths(view, given))
    if findings.errors:
        raise FieldError(*findings.errors, hint=hints.DEFINITION)
    return given, findings.warnings


async def check_publication(
    view: TenantView, name: str, definition: Document, version: int, settings: FlowSettings
) -> CheckedFlow:
    """What is to be published as a VERSION of the flow NAME, once nothing stands against it. Raises Invalid.

    SETTINGS are those of the account's turns: its examples and paths are walked with them.
    """
    audio = await audio_paths(view, definition)
    findings = await findings_of(view, definition, audio)
    if findings.errors:
        raise Invalid({"definition": findings.errors}, {"definition": hints.DEFINITION})
    walk = partial(_walked, name, cast(Definition, definition), version, audio, settings)
    async with WALKS.slot(view.account_id):
        examples, paths = await offload_long(walk)
    if examples.errors:
        raise Invalid({"examples": examples.errors}, {"examples": "\n\n".join(examples.transcripts)})
    if paths.errors:
        raise Invalid({"definition": paths.errors})
    return CheckedFlow(definition, audio, paths)


async def findings_of(view: TenantView, definition: Document, audio: dict[str, str]) -> Findings:
    """What is wrong with a definition, and what may be better, in an account with the files of AUDIO."""
    size = len(orjson.dumps(definition))
    if size > MAX_DEFINITION_BYTES:
        return Findings(errors=[f": {DEFINITION_TOO_LONG}"])
    account = await view.get("accounts", view.account_id or 0)
    known = Known(audio=audio.keys(), dial_allow_list=dial_allow_list(account))
    return await offload(size, partial(check_definition, definition, known))


async def audio_paths(view: TenantView, definition: Document) -> dict[str, str]:
    """By their names, the paths of the audio files that a definition plays, which need not be right otherwise."""
    names = sorted(set(_audio_names(definition.get("steps"))))
    if not names:
        return {}
    files = await view.find(AUDIO_COLLECTION, {"name": {"$in": names}}, fields=["name", "url"])
    return {str(file["name"]): str(file["url"]) for file in files}


def _audio_names(value: Any) -> Iterator[str]:
    """As ``audio_names`` of a definition finds them, in what need not be one."""
    if isinstance(value, str) and (name := audio_name(value)) is not None:
        yield name
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _audio_names(inner)


def _walked(
    name: str, definition: Definition, version: int, audio: dict[str, str], settings: FlowSettings
) -> tuple[CheckedExamples, CheckedPaths]:
    flow: type[DefinitionFlow] = definition_flow(name, definition, version, audio)
    examples = check_examples(flow, settings)
    return examples, CheckedPaths(0, [], None) if examples.errors else check_paths(flow, settings)


def _parsed(written: str) -> Any:
    """The JSON in a text; raises FieldError where it is none, or has more in one another than other bodies may."""
    try:
        value = orjson.loads(written)
    except orjson.JSONDecodeError as error:
        raise FieldError(f"must be JSON: {error}", hint=hints.DEFINITION) from None
    level = [value]
    for _ in range(MAX_LEVELS):
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [inner for values in inside for inner in values]
    if level:
        raise FieldError(f"is nested too deeply (maximum is {MAX_LEVELS} levels)")
    return value
