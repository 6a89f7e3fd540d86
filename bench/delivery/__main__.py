"""The command: `python -m bench.delivery [rate|outages]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.delivery import outages, rate
from bench.delivery.receivers import RECEIVERS


def main() -> int:
    args = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # like Ctrl-C: ends what was started
    figures: dict[str, Any] = {}
    met = True
    try:
        if args.part in ("rate", "all"):
            figures["rate"] = _rates(args.events)
        if args.part in ("outages", "all"):
            met, figures["outages"] = _outages(args)
    except KeyboardInterrupt:
        return 130
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if met else 1


def _rates(count: int) -> list[dict[str, Any]]:
    found = []
    for one in rate.rates(count):
        rate.show(one)
        found.append(asdict(one))
    return found


def _outages(args: argparse.Namespace) -> tuple[bool, dict[str, Any]]:
    """Measures and shows. Returns whether nothing was lost, and the figures."""
    with tempfile.TemporaryDirectory() as folder:
        found = outages.run(60 * args.minutes, Path(folder), sinks=args.sinks, kill_every=args.kill, rounds=args.rounds)
    outages.show(found)
    return found.met, asdict(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.delivery",
        description="rate measures how fast a backlog is delivered over MQTT; outages runs a daemon with 20 events per "
        "second, whose receivers are killed, frozen and slowed in turn. See bench/README.md.",
    )
    parser.add_argument("part", nargs="?", choices=("rate", "outages", "all"), default="all")
    parser.add_argument("--events", type=int, default=5000, help="backlog of `rate` (default: %(default)s)")
    parser.add_argument(
        "--sinks", nargs="+", choices=tuple(RECEIVERS), default=["mqtt", "webhook"],
        help="receivers of `outages` (default: mqtt webhook)",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=10.0, help="length of `outages` (default: %(default)g)")
    parser.add_argument("--rounds", type=int, default=6, help="outages in that time (default: %(default)s)")
    parser.add_argument("--kill", type=float, metavar="SECONDS", help="kill the daemon about that often")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
