"""How quickly the console appears: `python -m bench.console [--times 10]`."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.browser import Browser, Visit, browser
from tests.support.console import ConsoleServer, camera_report

CAMERAS = [camera_report(name, name.title()) for name in ("gate", "yard", "door", "hall")]
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_BYTES = "performance.getEntriesByType('resource').reduce((sum, one) => sum + one.transferSize, 0)"


def measured(started: Browser, server: ConsoleServer) -> tuple[float, float, int]:
    """Returns for a browser that has never been here: ms until something is painted, ms until every camera's video is,
    and bytes that were loaded until then, without video."""
    with started.visit("about:blank", fresh=True) as visit:
        begun = time.monotonic()
        visit.page.goto(server.url())
        visit.page.locator(".tile .rate").nth(len(CAMERAS) - 1).wait_for()
        seconds = time.monotonic() - begun
        return _painted(visit), seconds * 1000, int(visit.page.evaluate(_BYTES))


def _painted(visit: Visit) -> float:
    visit.eventually(lambda: visit.page.evaluate(_PAINTED) is not None)
    return float(visit.page.evaluate(_PAINTED))


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if the median of the first paint is at most 0.5 s, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    times = parser.parse_args(arguments).times
    with tempfile.TemporaryDirectory() as folder, ConsoleServer(Path(folder), CAMERAS) as server, browser() as started:
        found = [measured(started, server) for _ in range(times)]
    painted, played, loaded = (sorted(column) for column in zip(*found, strict=True))
    print(f"first paint            median {statistics.median(painted):.0f} ms, at most {painted[-1]:.0f} ms")
    print(f"video of {len(CAMERAS)} cameras     median {statistics.median(played):.0f} ms, at most {played[-1]:.0f} ms")
    print(f"loaded, compressed     {loaded[-1] / 1000:.0f} kB")
    return 0 if statistics.median(painted) <= 500 else 1


if __name__ == "__main__":
    raise SystemExit(main())
