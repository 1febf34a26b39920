"""The files of the page, and its HTML in each language."""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from scfm.handlers.static_files import STATIC_CONTENT_TYPES, StaticFile, StaticFiles, read_folder

INDEX_FILE = "index.html"
# Whoever asks for a language that there is not gets the first.
LANGUAGES = ("en", "fr", "km")
# The sections of texts that are needed at first; the others are a file of their own, which may come later.
FIRST_SECTIONS = ("shell", "sign_in", "alerts", "status", "message")
# In index.html: {{sign_in.email}} is a text, {{files}} the folder of the files, {{language}} and {{state}} words.
_PLACE = re.compile(r"\{\{([a-z_.]+)\}\}")

# By section and key; a text of several forms is an object.
Texts = dict[str, dict[str, Any]]


class PageFiles(StaticFiles):
    """The page's files, and its HTML. Texts are two files a language, ``texts/en/first.json`` and ``rest.json``."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        """CONTENTS are the files, with ``index.html`` and ``texts/LANGUAGE.json``."""
        index = contents[INDEX_FILE].decode()
        texts = {language: json.loads(contents[f"texts/{language}.json"]) for language in LANGUAGES}
        sent = {name: content for name, content in contents.items() if not name.startswith("texts/")}
        del sent[INDEX_FILE]
        for language in LANGUAGES:
            sent |= _halves(language, texts[language])
        super().__init__(sent)
        self._indexes = {
            (language, signed_in): self._filled(index, texts[language], language, signed_in)
            for language in LANGUAGES
            for signed_in in (False, True)
        }
        for file in self._indexes.values():
            file.gzip  # noqa: B018  it is made now, and not for the first who asks

    def index(self, language: str, *, signed_in: bool) -> StaticFile:
        """The HTML in one of LANGUAGES, with the sign-in form, or, SIGNED_IN, without it."""
        return self._indexes[language, signed_in]

    def _filled(self, index: str, texts: Texts, language: str, signed_in: bool) -> StaticFile:
        words = {
            "files": f"static/{self.digest}",
            "language": language,
            "state": "signed-in" if signed_in else "signed-out",
        }

        def word(place: re.Match[str]) -> str:
            section, _, key = place[1].partition(".")
            return escape(texts[section][key] if key else words[section])

        return StaticFile(_PLACE.sub(word, index).encode(), STATIC_CONTENT_TYPES[".html"])


def _halves(language: str, texts: Texts) -> dict[str, bytes]:
    """The texts of a language that are needed at first, and the others, as files."""
    first = {section: entries for section, entries in texts.items() if section in FIRST_SECTIONS}
    rest = {section: entries for section, entries in texts.items() if section not in FIRST_SECTIONS}
    return {
        f"texts/{language}/{name}.json": json.dumps(half, ensure_ascii=False, separators=(",", ":")).encode()
        for name, half in (("first", first), ("rest", rest))
    }


@cache
def page_files() -> PageFiles:
    """The files of this version of the page."""
    return PageFiles(read_folder(files("scfm").joinpath("page")))
