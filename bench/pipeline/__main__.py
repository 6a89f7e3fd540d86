"""The command: `python -m bench.pipeline [cpu|user|latency|cameras|start|all]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.pipeline import cameras, cpu, latency, start, user
from bench.pipeline.daemon_process import DaemonError
from bench.pipeline.options import Options
from sightd.engines.errors import EngineError

_Part = Callable[[Options], object]


def _part(module: Any) -> _Part:
    """Returns a function that measures a part, prints it and returns what goes into the JSON file."""

    def run(options: Options) -> object:
        result = module.measure(options)
        module.show(result)
        return module.as_json(result)

    return run


PARTS: Mapping[str, _Part] = {
    "start": _part(start),
    "cpu": _part(cpu),
    "user": _part(user),
    "latency": _part(latency),
    "cameras": _part(cameras),
}


def main() -> int:
    args = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # like Ctrl-C: ends what was started
    options = Options(
        model=args.model,
        chain=tuple(args.chain.split(",")),
        seconds=args.seconds,
        turns=args.turns,
        minutes=args.minutes,
        cameras=tuple(int(count) for count in args.cameras.split(",")) if args.cameras else None,
        detector_fps=args.detector_fps,
    )
    results: dict[str, object] = {}
    try:
        for name in PARTS if args.part == "all" else [args.part]:
            results[name] = PARTS[name](options)
            sys.stdout.flush()
    except (DaemonError, EngineError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if args.json:
            args.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.pipeline",
        description="Measures the daemon with simulated cameras and real viewers. See bench/README.md.",
    )
    parser.add_argument(
        "part", nargs="?", default="all", choices=[*PARTS, "all"], help="what to measure (default: all)"
    )
    parser.add_argument("--model", default="ssd-mobilenet-v2", help="the detector's network, which must be in place")
    parser.add_argument("--chain", default="detector,tracker", help="plug-ins of every camera (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each window (default: %(default)g)")
    parser.add_argument("--turns", type=int, default=2, help="how often windows alternate in `cpu` (default: 2)")
    parser.add_argument("--minutes", type=float, help="length of each window of `latency` and `cameras`")
    parser.add_argument("--cameras", metavar="N,N", help="numbers of cameras (default: latency 1,4; cameras 1,4,8)")
    parser.add_argument("--detector-fps", type=float, help="analyse no more than so many frames a second and camera")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
