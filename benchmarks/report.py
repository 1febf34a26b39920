"""``python -m benchmarks.report``: plots and a table out of ``latest.json``, the table for docs/performance.md."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from benchmarks import plots, results
from benchmarks.table import fill, text

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=results.FOLDER, help="where the results are")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="the document with the table")
    options = parser.parse_args()
    found = results.latest(options.results)
    drawn = list(plots.draw(found["figures"], options.results))
    shown = [f"![{path.stem}]({os.path.relpath(path, options.document.parent)})" for path in drawn]
    fill(options.document, "\n\n".join([text(found), *shown]))
    print(f"{len(drawn)} plots drawn in {options.results}, {options.document} filled")


if __name__ == "__main__":
    main()
