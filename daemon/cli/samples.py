"""`sightd samples`: downloads sample videos and photos."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import complain, print_table
from sightd.daemon.common.progress import ProgressBar
from sightd.engines.errors import EngineError
from sightd.engines.files import cache_directory
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.samples import SampleStore, samples

_EXAMPLES = """examples:
  sightd samples list
  sightd samples fetch bikes.mp4
  sightd analyze $(sightd samples fetch bikes.mp4) --out results.jsonl
"""


def add(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "samples",
        help="download sample videos and images",
        description="Lists and downloads free videos and photos for demonstrations and tests.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--directory", type=Path, help="folder of stored samples (default: samples in the cache)")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="list all samples, and which are stored on this machine")
    fetch = actions.add_parser("fetch", help="download samples and print their paths")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    fetch.add_argument("--mirror", type=Path, help="mirror folder (default: $SIGHTD_MODEL_MIRROR)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 success, 1 if a sample is unavailable."""
    store = SampleStore(args.directory or cache_directory(os.environ) / "samples")
    if args.action == "list":
        return _list(store)
    failed = 0
    for name in args.names:
        try:
            with ProgressBar() as progress:
                print(store.ensure(name, Fetcher(progress, args.mirror or default_mirror(os.environ))))
        except EngineError as error:
            complain(error)
            failed = 1
    return failed


def _list(store: SampleStore) -> int:
    rows = [(one.name, "stored" if store.find(one) else "-", one.licence, one.summary) for one in samples().values()]
    print_table(("NAME", "STORED", "LICENCE", "CONTENT"), rows)
    print(f"stored in {store.directory}")
    return 0
