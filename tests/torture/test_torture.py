"""Nothing lost, nobody rung twice: whatever dies, and whenever.

Each seed calls a hundred people and more through a carrier that errs, while servers and databases are killed and cut
off from one another; then the carrier's books are compared with the database. ``make torture`` tries many seeds.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.torture.house import HOUSES, House
from tests.torture.trial import try_seed

# The first seed of each kind of house, and how many follow.
FIRST = {"alone": 1, "two": 11, "three": 21}
TURNS = 7


@pytest.fixture(scope="module", params=FIRST)
def street(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, int]]:
    """A house, and its first seed."""
    with HOUSES[request.param](tmp_path_factory.mktemp(request.param)) as house:
        yield house, FIRST[request.param]


@pytest.mark.parametrize("turn", range(TURNS))
def test_everybody_is_called_once_and_every_call_is_settled(street: tuple[House, int], turn: int) -> None:
    house, first = street
    verdict = try_seed(house, first + turn)
    assert verdict.violations == [], f"seed {first + turn}"
    assert verdict.figures["rung"] > verdict.figures["calls"] / 2, "else nothing was tried"
