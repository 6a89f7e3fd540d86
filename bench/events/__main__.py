"""The command: `python -m bench.events [latency|store]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from bench.events import latency, store
from sightd.engines.errors import EngineError


def main() -> int:
    args = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # like Ctrl-C: ends what was started
    try:
        met, figures = _stored(args) if args.part == "store" else _latency(args)
    except EngineError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if met else 1


def _latency(args: argparse.Namespace) -> tuple[bool, object]:
    """Measures and shows. Returns whether all targets are met, and the figures."""
    results = latency.measure(args.model, args.seconds)
    latency.show(results)
    return all(one.met for one in results), latency.as_json(results)


def _stored(args: argparse.Namespace) -> tuple[bool, object]:
    """Measures and shows. Returns whether all targets are met, and the figures."""
    figures = store.measure(args.count, args.folder)
    store.show(figures)
    return all(one.met for one in figures), store.as_json(figures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.events",
        description="latency measures how soon events arrive, with simulated cameras and a real MQTT broker; store "
        "measures the journal with a million events. See bench/README.md.",
    )
    parser.add_argument("part", nargs="?", choices=["latency", "store"], default="latency")
    parser.add_argument("--model", default="deimv2-femto", help="the detector's model (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a window (default: %(default)g)")
    parser.add_argument("--count", type=int, default=1_000_000, help="events in the journal (default: %(default)d)")
    parser.add_argument("--folder", type=Path, help="write the journal there: choose the disk to be measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
