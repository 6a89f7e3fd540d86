"""The command: `python -m bench.events [latency]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from bench.events import latency
from sightd.engines.errors import EngineError


def main() -> int:
    args = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # like Ctrl-C: ends what was started
    try:
        results = latency.measure(args.model, args.seconds)
    except EngineError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    latency.show(results)
    if args.json:
        args.json.write_text(json.dumps(latency.as_json(results), indent=2) + "\n")
    return 0 if all(one.met for one in results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.events",
        description="Measures how soon events arrive, with simulated cameras and a real MQTT broker. See "
        "bench/README.md.",
    )
    parser.add_argument("--model", default="deimv2-femto", help="the detector's model (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a window (default: %(default)g)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
