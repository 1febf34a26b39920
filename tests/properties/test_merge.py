"""How new metadata joins the old."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.models.merge import merge

OLD = {"name": "Alice", "address": {"city": "Baidoa", "zone": {"n": 1}}, "tags": ["a"], "age": 5}
NEW = {"name": None, "address": {"zone": {"m": 2}, "street": None}, "tags": ["b"], "age": {"y": 6}}

KEY = st.sampled_from("abc")
METADATA = st.recursive(
    st.dictionaries(KEY, st.none() | st.integers(0, 3), max_size=3),
    lambda inner: st.dictionaries(
        KEY, inner | st.none() | st.integers(0, 3) | st.lists(inner, max_size=2), max_size=3
    ),
    max_leaves=8,
)
MODE = st.sampled_from(["merge", "replace", "deep_merge"]) | st.none() | st.text() | st.just({"a": 1})


@pytest.mark.parametrize("mode", ["merge", "", "MERGE", "nonsense", None, 1, ["replace"], {"replace": "deep_merge"}])
def test_the_top_level_is_merged_by_default_and_where_the_mode_is_unknown(mode: object) -> None:
    assert merge({"a": {"b": 1}, "c": 2}, {"a": {"d": None}}, mode) == {"a": {"d": None}, "c": 2}


def test_replace_forgets_the_old() -> None:
    assert merge(OLD, NEW, "replace") == NEW


def test_deep_merge_goes_into_what_is_an_object_on_both_sides_only() -> None:
    assert merge(OLD, NEW, "deep_merge") == {
        "name": None,
        "address": {"city": "Baidoa", "zone": {"n": 1, "m": 2}, "street": None},
        "tags": ["b"],
        "age": {"y": 6},
    }


@given(METADATA, METADATA, MODE)
def test_the_arguments_are_left_as_they_were(old: dict[str, Any], new: dict[str, Any], mode: object) -> None:
    before = copy.deepcopy((old, new))
    result = merge(old, new, mode)
    assert (old, new) == before
    assert result is not old
    assert result is not new


@given(METADATA, METADATA, MODE)
def test_the_same_merge_twice_changes_nothing_more(old: dict[str, Any], new: dict[str, Any], mode: object) -> None:
    once = merge(old, new, mode)
    assert merge(once, new, mode) == once


@given(METADATA, MODE)
def test_merging_into_nothing_gives_the_new(new: dict[str, Any], mode: object) -> None:
    assert merge({}, new, mode) == new


def at(metadata: object, path: tuple[str, ...]) -> object:
    for key in path:
        metadata = metadata.get(key) if isinstance(metadata, dict) else None
    return metadata


@given(METADATA, METADATA, st.lists(KEY, min_size=1, max_size=3).map(tuple))
def test_deep_merge_is_the_new_value_where_either_side_is_no_object(
    old: dict[str, Any], new: dict[str, Any], path: tuple[str, ...]
) -> None:
    value = at(new, path)
    if value is not None and not isinstance(value, dict):
        assert at(merge(old, new, "deep_merge"), path) == value
