"""Where an alert is shown: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scfm.cli.alert.alert_words import pace_words, people_counts, people_words, shares
from scfm.results.callout_statistics import CalloutStatistics

# Plain lines are written at most so often: they may be a file's, for hours.
LINE_SECONDS = 5.0
BAR_WIDTH = 40
STYLES = {
    "calling": "cyan",
    "waiting": "yellow",
    "reached": "green",
    "acknowledged": "bright_green",
    "unreached": "red",
    "unknown": "red",
}


class ProgressView:
    """Where the statistics of one callout are shown as they change."""

    def show(self, statistics: CalloutStatistics) -> None:
        """These are the newest."""
        raise NotImplementedError

    def lost(self, reason: str) -> None:
        """The server does not tell any more, for this REASON; it is asked again."""
        raise NotImplementedError


class AlertScreen:
    """Standard output, and whoever sits before it."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)

    def say(self, text: str) -> None:
        """One line, however long."""
        self._console.print(text, soft_wrap=True)

    def can_ask(self) -> bool:
        """Whether there is somebody who can be asked."""
        return sys.stdin.isatty()

    def confirm(self, question: str) -> bool:
        """Ask; whether the answer was y or yes."""
        self._console.print(f"{question} [y/N] ", end="")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    @contextmanager
    def progress_view(self, title: str) -> Iterator[ProgressView]:
        """A context with where the statistics of the callout TITLE are shown."""
        if not self._console.is_terminal:
            yield LineView(self, title)
            return
        with Live(console=self._console, refresh_per_second=4) as live:
            yield LiveView(live, title)


class LineView(ProgressView):
    """Lines with the time of day: the first figures at once, later ones when a while has passed."""

    def __init__(self, screen: AlertScreen, title: str) -> None:
        self._screen, self._title = screen, title
        self._shown, self._shown_at = "", -LINE_SECONDS

    def show(self, statistics: CalloutStatistics) -> None:
        pace = pace_words(statistics)
        self._say(f"{people_words(statistics['people'])}{f' ({pace})' if pace else ''}")

    def lost(self, reason: str) -> None:
        self._say(f"trying again, as {reason}")

    def _say(self, words: str) -> None:
        if words != self._shown and time.monotonic() - self._shown_at >= LINE_SECONDS:
            self._shown, self._shown_at = words, time.monotonic()
            self._screen.say(f"{datetime.now():%H:%M:%S} {self._title}: {words}")


class LiveView(ProgressView):
    """Bars by outcome that stay in their place."""

    def __init__(self, live: Live, title: str) -> None:
        self._live, self._title = live, title
        self._newest: CalloutStatistics | None = None

    def show(self, statistics: CalloutStatistics) -> None:
        self._newest = statistics
        self._live.update(Group(*self._drawn(statistics)))

    def lost(self, reason: str) -> None:
        drawn = () if self._newest is None else self._drawn(self._newest)
        self._live.update(Group(*drawn, Text(f"trying again, as {reason}", style="yellow")))

    def _drawn(self, statistics: CalloutStatistics) -> Iterator[Text | Table]:
        people = statistics["people"]
        counts = people_counts(people)
        percent = shares(counts)
        yield Text(f"{self._title}: {people['total']:,} people", style="bold")
        table = Table.grid(padding=(0, 1))
        for justify in ("left", "left", "right", "right"):
            table.add_column(justify=justify)
        for outcome, count in counts.items():
            bar = ProgressBar(
                total=people["total"],
                completed=count,
                width=BAR_WIDTH,
                complete_style=STYLES.get(outcome, "white"),
                finished_style=STYLES.get(outcome, "white"),
            )
            table.add_row(outcome, bar, f"{count:,}", f"{percent[outcome]}%")
        yield table
        yield Text(pace_words(statistics), style="dim")
