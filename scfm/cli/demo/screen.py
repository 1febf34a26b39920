"""Where the demo shows its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table


class Screen:
    """Where the steps are shown: with bars on a terminal, as plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._live = self._console.is_terminal

    def say(self, text: str) -> None:
        """One line, however long."""
        self._console.print(text, soft_wrap=True)

    def step_done(self, text: str) -> None:
        """A step that went as it should."""
        self.say(f"ok  {text}")

    @contextmanager
    def progress_bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar of ``total`` while the block runs, which is given how to set it; then, if all went well, its line."""
        columns = (TextColumn("    {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._live) as progress:
            task = progress.add_task(text, total=total)
            yield lambda completed: progress.update(task, completed=completed)
        self.step_done(f"{text}: {total}")

    def statuses(self, counts: Mapping[str, int]) -> None:
        """The table of the final statuses of the calls, the most frequent first."""
        percent = shares(counts)
        rows = sorted(counts.items(), key=lambda row: -row[1])
        if not self._live:
            for status, count in rows:
                self.say(f"    {status:<14}{count:>5}  {percent[status]:>3}%")
            return
        table = Table("outcome")
        for heading in ("calls", "share"):
            table.add_column(heading, justify="right")
        for status, count in rows:
            table.add_row(status, str(count), f"{percent[status]}%")
        self._console.print(table)


def shares(counts: Mapping[str, int]) -> dict[str, int]:
    """Each share of all in whole percent, which sum to 100: those with the largest remainders are rounded up."""
    everything = sum(counts.values())
    percent = {name: 100 * count // everything for name, count in counts.items()}
    by_remainder = sorted(counts, key=lambda name: -(100 * counts[name] % everything))
    for name in by_remainder[: 100 - sum(percent.values())]:
        percent[name] += 1
    return percent
