"""The kinds of field that a resource may have: how each is read from a request, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from scfm.clock import iso
from scfm.errors import Invalid
from scfm.models import hints, msisdn
from scfm.models.filters import MAX_INTEGER, text
from scfm.models.merge import MODES, merge, with_memory, without_memory
from scfm.providers.call_parameters import CALL_PARAMETERS
from scfm.runtime.secret_box import SecretBox
from scfm.schemas import Formats, Schema, violations
from scfm.storage.query import Document

BLANK = "can't be blank"
NOT_IN_LIST = "is not included in the list"
NO_OBJECT = "must be an object"
TOO_LARGE = "has a number that is too large to store"
# Bytes of one free JSON value as a client is shown it: merged again and again, metadata would outgrow a document.
MAX_JSON = 1 << 20
TOO_LONG = f"is too long (maximum is {MAX_JSON} bytes)"

REQUEST_PARAMS_FORMATS = Formats({"call-parameter": lambda name: name in CALL_PARAMETERS})

_OF_DEFAULT: Mapping[type, Schema] = {
    type(None): {"type": ["string", "null"]},
    str: {"type": "string"},
    int: {"type": "integer"},
    dict: {"type": "object"},
    list: {"type": "array", "items": {"type": "string"}},
}


class FieldError(Exception):
    """A value that a client sent breaks a rule of its field; ``args`` are the messages.

    ``hint`` says what would be accepted; ``parts`` holds the errors of a field's parts, by their names.
    """

    def __init__(
        self, *messages: str, hint: str | None = None, parts: Mapping[str, FieldError] | None = None
    ) -> None:
        super().__init__(*messages)
        self.hint = hint
        self.parts = parts

    def of(self, name: str) -> Invalid:
        """The same as the error of a request that has the value under NAME."""
        return Invalid({name: [*self.args]}, {name: self.hint} if self.hint else {})


@dataclass(frozen=True)
class Rules:
    """What the rules of a field need to know of the server, and of the account: its ``default_country``."""

    flows: frozenset[str] = frozenset()
    country: str | None = None
    secret_box: SecretBox | None = None  # seals what is secret; without it that is stored in the clear

    def for_country(self, country: str | None) -> Rules:
        """The same for an account with that ``default_country``."""
        return self if country == self.country else replace(self, country=country)


@dataclass(frozen=True)
class Field:
    """A field that only the server sets; the kinds that a client may give are ``settable``."""

    name: str
    default: Any = None

    settable = False

    @property
    def schema(self) -> Schema:
        """The JSON Schema of what is shown."""
        return _OF_DEFAULT[type(self.default)]

    @property
    def accepts(self) -> Mapping[str, Schema]:
        """The JSON Schemas of what a client may give, by the name under which it is given."""
        return {self.name: self.schema} if self.settable else {}

    def initial(self) -> Any:
        """What a new document has, as long as nobody says otherwise."""
        return deepcopy(self.default)

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        """The field's new value from the parameters GIVEN, OLD where they say nothing; raises FieldError."""
        return old

    def show(self, document: Document) -> Any:
        """The value as JSON has it."""
        value = document.get(self.name, self.default)
        return iso(value) if isinstance(value, datetime) else value


@dataclass(frozen=True)
class Id(Field):
    """The document's own id."""

    schema = {"type": "integer", "minimum": 1}

    def show(self, document: Document) -> Any:
        return document["_id"]


@dataclass(frozen=True)
class Link(Field):
    """The id of another document, or null."""

    schema = {"type": ["integer", "null"], "minimum": 1}


@dataclass(frozen=True)
class Time(Field):
    """A moment, or null."""

    schema = {"type": ["string", "null"], "format": "date-time"}


@dataclass(frozen=True)
class Number(Field):
    """A whole number from 0 on, or null."""

    schema = {"type": ["integer", "null"], "minimum": 0}


@dataclass(frozen=True)
class Choice(Field):
    """One of ``choices``, which the server sets."""

    choices: tuple[str, ...] = ()

    @property
    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.choices)}


@dataclass(frozen=True)
class Status(Choice):
    """Where the document stands."""


@dataclass(frozen=True)
class Text(Field):
    """A string that a client may set; an object or array given for it is ignored, null clears it."""

    settable = True

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        if self.name not in given or isinstance(given[self.name], (dict, list)):
            return old
        return text(given[self.name])


@dataclass(frozen=True)
class Msisdn(Field):
    """A phone number, stored normalised. ``optional`` ones are filled in by the resource when not given."""

    optional: bool = False

    settable = True

    @property
    def schema(self) -> Schema:
        return {"type": ["string", "null"] if self.optional else "string", "examples": ["+252662345678"]}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = given.get(self.name)
        if self.name not in given or isinstance(value, (dict, list)):
            if old is None and not self.optional:
                raise FieldError(BLANK, hint=hints.PHONE_NUMBER)
            return old
        phone_number, messages = msisdn.check(value, rules.country)
        if self.optional and old is None and (value is None or (isinstance(value, str) and not value.strip())):
            return None
        if messages:
            raise FieldError(*messages, hint=hints.phone_number(value, rules.country))
        return phone_number


@dataclass(frozen=True)
class CallFlowLogic(Field):
    """The name of a registered call flow; null means inherited."""

    settable = True

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        if self.name not in given or isinstance(given[self.name], (dict, list)):
            return old
        value = text(given[self.name])
        if value is not None and value not in rules.flows:
            raise FieldError(NOT_IN_LIST, hint=hints.call_flow(value, rules.flows))
        return value


@dataclass(frozen=True)
class Metadata(Field):
    """Free JSON, joined to what is stored as ``metadata_merge_mode`` says; anything but an object is ignored."""

    settable = True

    @property
    def accepts(self) -> Mapping[str, Schema]:
        return {**super().accepts, "metadata_merge_mode": {"type": "string", "enum": list(MODES)}}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = given.get(self.name)
        if not isinstance(value, dict):
            return old
        check_json(value)
        merged = merge(old or {}, value, given.get("metadata_merge_mode", "merge"))
        check_size(merged)
        return merged


@dataclass(frozen=True)
class MetadataWithMemory(Metadata):
    """Metadata beside what call flows remember, ``call_flow_data``, which is shown, and ignored where it is given."""

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = given.get(self.name)
        if not isinstance(value, dict):
            return old
        stored = old or {}
        given = {**given, self.name: without_memory(value)}
        return with_memory(super().read(given, without_memory(stored), rules), stored)


@dataclass(frozen=True)
class Json(Field):
    """Free JSON that an update replaces whole. ``accepted``: the JSON Schema of what it may hold.

    With one, anything but an object is refused, else ignored.
    """

    accepted: Schema | None = None

    settable = True

    @property
    def accepts(self) -> Mapping[str, Schema]:
        return {self.name: self.accepted or self.schema}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = given.get(self.name)
        if not isinstance(value, dict):
            if self.accepted is not None and self.name in given:
                raise FieldError(NO_OBJECT)
            return old
        check_json(value)
        check_size(value)
        return value


@dataclass(frozen=True)
class RequestParams(Json):
    """What the provider is asked for when it places the call; an update replaces it whole."""

    @property
    def accepts(self) -> Mapping[str, Schema]:
        names = {"enum": sorted(CALL_PARAMETERS)}
        return {self.name: {"type": "object", "$ref": "remote_request_params.json", "propertyNames": names}}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        value = super().read(given, old, rules)
        # A call that has come in has none, and whoever changes something else of it need not give any.
        if isinstance(given.get(self.name), dict) and (
            found := violations("remote_request_params", value, REQUEST_PARAMS_FORMATS)
        ):
            raise FieldError(*found.values(), hint=hints.request_params(value))
        return value


def check_json(value: Any) -> None:
    """Raise FieldError for a number that MongoDB cannot hold."""
    if isinstance(value, dict):
        for inner in value.values():
            check_json(inner)
    elif isinstance(value, list):
        for inner in value:
            check_json(inner)
    elif isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
        raise FieldError(TOO_LARGE)


def check_size(value: Document) -> None:
    """Raise FieldError for free JSON (that ``check_json`` let through) that is larger than one value may be."""
    if len(orjson.dumps(value)) > MAX_JSON:
        raise FieldError(TOO_LONG)
