"""`sightd label`: collects frames, proposes and confirms boxes, and exchanges labelled frames with other tools."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sightd.daemon.cli.arguments import SubParsers, number
from sightd.daemon.cli.output import exit_code_of, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sightd.daemon.tools.label.finder import Finder

_EXAMPLES = """examples:
  sightd label create yard/ --classes parcel cog      an empty dataset: yard/dataset.json and yard/frames/
  sightd label add yard/ recordings/ --most 50        the most different frames, at most 50 of each film
  sightd label export yard/ --to cvat/ --format coco  correct the boxes in another tool …
  sightd label import yard/ corrected.json            … and take them back, as corrected
  sightd detector train yard/                         train, then let the result propose the next boxes:
  sightd label add yard/ more.mp4 --model yard        frames on which it is uncertain, missed an object, or that are new
  sightd label accept yard/ --least 0.6               confirm what it proposed
  sightd label list yard/

A dataset is a folder with a COCO file (dataset.json) whose images and boxes have a state: new, proposed or corrected.
Imported frames count as corrected, except those of another dataset folder; frames that are corrected already keep their
boxes, unless you import with --replace. Training uses corrected frames; a corrected
frame without boxes shows none of the objects.
"""

_SHOWN = 10
"""Most frames that are named on import; of others, only the number is given."""
_COUNT = number(int, lambda value: value >= 1, "a positive whole number")
_SCORE = number(float, lambda value: 0 <= value <= 1, "a number from 0 to 1")
_GAP = number(float, lambda value: 0 <= value <= 3600, "a number of seconds from 0 to 3600")


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "label",
        help="collect and label frames of your own objects",
        description="Collects frames, proposes and confirms boxes, imports and exports COCO and YOLO datasets.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = _action(actions, "create", "make an empty dataset")
    create.add_argument("--classes", nargs="+", required=True, metavar="CLASS", help="names of the objects")
    create.set_defaults(do=_create)
    _add_collecting(actions)
    collect = _action(actions, "collect", "take the frames that the collector plug-in has stored")
    collect.add_argument("folder", type=Path, metavar="FOLDER", help="the plug-in's folder; it is emptied")
    collect.add_argument(
        "--least", type=_SCORE, default=0.3, metavar="X", help="least score of a proposal (default: %(default)g)"
    )
    collect.set_defaults(do=_collect)
    _action(actions, "list", "list frames, states and boxes").set_defaults(do=_list)
    accept = _action(actions, "accept", "confirm proposed boxes")
    accept.add_argument(
        "frames", nargs="*", metavar="FRAME", help="also those without boxes (default: all frames with proposals)"
    )
    accept.add_argument(
        "--least", type=_SCORE, default=0.0, metavar="X", help="drop proposals with a lower score (default: 0)"
    )
    accept.set_defaults(do=_accept)
    remove = _action(actions, "remove", "remove frames")
    remove.add_argument("frames", nargs="+", metavar="FRAME")
    remove.set_defaults(do=_remove)
    _add_exchange(actions)
    parser.set_defaults(run=run)


def _action(actions: SubParsers, name: str, summary: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=summary)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="dataset folder")
    return parser


def _add_collecting(actions: SubParsers) -> None:
    collect = _action(actions, "add", "add the most useful frames of films and folders")
    collect.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="videos, images or folders")
    collect.add_argument(
        "--most", type=_COUNT, default=50, metavar="N", help="frames per film or folder (default: %(default)s)"
    )
    collect.add_argument(
        "--gap", type=_GAP, default=0.5, metavar="S", help="least seconds between frames (default: %(default)g)"
    )
    collect.set_defaults(do=_add)
    propose = _action(actions, "propose", "propose boxes on all frames that are not corrected")
    propose.set_defaults(do=_propose)
    for parser, wanted in ((collect, False), (propose, True)):
        parser.add_argument("--model", required=wanted, metavar="NAME", help="detector that proposes boxes")
        parser.add_argument(
            "--least", type=_SCORE, default=0.3, metavar="X", help="least score of a proposal (default: %(default)g)"
        )
        parser.add_argument(
            "--as", nargs="+", default=[], dest="renamed", metavar="CLASS=LABEL",
            help="classes of the model that are called otherwise in the dataset",
        )  # fmt: skip
        parser.add_argument("--directory", type=Path, help="model folder, as in `models.directory`")


def _add_exchange(actions: SubParsers) -> None:
    taken = _action(actions, "import", "add labelled frames of a COCO file, a YOLO folder or another dataset")
    taken.add_argument("source", type=Path, metavar="SOURCE")
    taken.add_argument("--images", type=Path, metavar="FOLDER", help="folder of a COCO file's images")
    taken.add_argument(
        "--replace", action="store_true", help="also replace the boxes of frames that are corrected in the dataset"
    )
    taken.set_defaults(do=_import)
    given = _action(actions, "export", "write labelled frames as a COCO file or a YOLO folder")
    given.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a new or empty folder")
    given.add_argument("--format", choices=("coco", "yolo"), default="coco", help="default: %(default)s")
    given.add_argument("--corrected", action="store_true", help="only corrected frames")
    given.set_defaults(do=_export)


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 success, 1 if frames or files are unusable, 2 if a model name is unknown, 3 if a model is
    unavailable."""
    from sightd.daemon.tools.label.labelled import LabelError
    from sightd.daemon.tools.media import MediaError
    from sightd.engines.errors import EngineError, UnknownModelError
    from sightd.plugins.api import PluginError

    codes = {UnknownModelError: 2, LabelError: 1, MediaError: 1, PluginError: 1, EngineError: 3, OSError: 1}
    return exit_code_of(lambda: args.do(args), codes)


def _create(args: argparse.Namespace) -> None:
    from sightd.daemon.tools.label.dataset import Dataset

    dataset = Dataset.create(args.dataset, args.classes)
    print(f"{args.dataset}: an empty dataset of {', '.join(dataset.labels)}")


def _add(args: argparse.Namespace) -> None:
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.tools.label.choice import Budget
    from sightd.daemon.tools.label.collect import add_films
    from sightd.daemon.tools.label.dataset import Dataset

    budget = Budget(args.most, args.gap)
    with (
        Dataset.edit(args.dataset) as dataset,
        _finder(args, dataset.labels) as finder,
        ProgressBar(unit="") as progress,
    ):
        added = add_films(dataset, args.sources, budget, finder, args.least, progress, progress.print)
    print(f"{args.dataset}: {added}")


def _collect(args: argparse.Namespace) -> None:
    from sightd.daemon.tools.label.collect import add_collected
    from sightd.daemon.tools.label.dataset import Dataset

    with Dataset.edit(args.dataset) as dataset:
        added, files = add_collected(dataset, args.folder, args.least)
    for file in files:  # only now: they are stored in the dataset
        file.unlink()
    print(f"{args.dataset}: {added}")


def _propose(args: argparse.Namespace) -> None:
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.tools.label.collect import propose
    from sightd.daemon.tools.label.dataset import Dataset

    with Dataset.edit(args.dataset) as dataset, _finder(args, dataset.labels) as finder:
        assert finder is not None
        with ProgressBar(unit="") as progress:
            frames, boxes = propose(dataset, finder, args.least, progress)
    print(f"{args.dataset}: {boxes} boxes proposed on {frames} frames")


@contextmanager
def _finder(args: argparse.Namespace, labels: Sequence[str]) -> Iterator[Finder | None]:
    """Provides the model that was named, if one was."""
    if args.model is None:
        yield None
        return
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.config.load import known_networks
    from sightd.daemon.config.model import Models
    from sightd.daemon.tools.label.finder import Finder
    from sightd.engines.models.fetch import Fetcher
    from sightd.engines.models.mirror import default_mirror
    from sightd.engines.models.store import ModelStore, default_directory, ensure_model

    model = known_networks(Models(directory=args.directory), os.environ).get(args.model)
    store = ModelStore(args.directory or default_directory(os.environ))
    with ProgressBar() as progress:
        file = ensure_model(model, store, Fetcher(progress, default_mirror(os.environ)))
    finder = Finder(model, file, labels, len(os.sched_getaffinity(0)), _renamed(args.renamed))
    if (finder.numbers < 0).all():
        print(f"{model.name} knows none of the classes {', '.join(labels)}: it proposes nothing", file=sys.stderr)
    try:
        yield finder
    finally:
        finder.close()


def _renamed(pairs: Sequence[str]) -> dict[str, str]:
    from sightd.daemon.tools.label.labelled import LabelError

    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise LabelError(f"--as {wrong[0]}: expected CLASS=LABEL")
    return dict(pair.split("=", 1) for pair in pairs)


def _list(args: argparse.Namespace) -> None:
    from sightd.daemon.tools.label.dataset import Dataset

    dataset = Dataset.open(args.dataset)
    rows = []
    for frame in dataset.frames:
        names = [dataset.labels[box.label] for box in frame.boxes]
        counted = ", ".join(f"{names.count(label)} {label}" for label in dataset.labels if label in names)
        at = "" if frame.time is None else f"{frame.time:.2f} s"
        rows.append((frame.name, str(frame.state), frame.reason, frame.source, at, counted or "-"))
    print_table(("FRAME", "STATE", "REASON", "SOURCE", "TIME", "BOXES"), rows)
    states = [str(frame.state) for frame in dataset.frames]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("corrected", "proposed", "new"))
    print(f"{len(states)} frames: {counts}")


def _accept(args: argparse.Namespace) -> None:
    from sightd.daemon.tools.label.collect import accept
    from sightd.daemon.tools.label.dataset import Dataset

    with Dataset.edit(args.dataset) as dataset:
        count = accept(dataset, args.frames, args.least)
    print(f"{args.dataset}: {count} frames confirmed")


def _remove(args: argparse.Namespace) -> None:
    from sightd.daemon.tools.label.dataset import Dataset

    with Dataset.edit(args.dataset) as dataset:
        count = dataset.remove(args.frames)
    print(f"{args.dataset}: {count} frames removed")


def _import(args: argparse.Namespace) -> None:
    from sightd.daemon.tools.label.dataset import Dataset, import_labelled, read_labelled

    data = read_labelled(args.source, args.images)
    with Dataset.edit(args.dataset) as dataset:
        done = import_labelled(dataset, data, args.source.name, replace=args.replace)
    for line in data.left_out:
        print(f"skipped: {line}", file=sys.stderr)
    _show_kept(done.kept)
    kept = f", {len(done.kept)} kept" if done.kept else ""
    print(f"{args.dataset}: {done.new} new frames, {done.taken} with replaced boxes{kept}")


def _show_kept(names: Sequence[str]) -> None:
    for name in names[:_SHOWN]:
        print(f"kept: {name} is corrected here, and has other boxes or another state there", file=sys.stderr)
    if len(names) > _SHOWN:
        print(f"kept: {len(names) - _SHOWN} more", file=sys.stderr)
    if names:
        print("import with --replace to take the others' boxes for these frames as well", file=sys.stderr)


def _export(args: argparse.Namespace) -> None:
    from sightd.daemon.tools.label.dataset import Dataset, export_coco, export_yolo
    from sightd.daemon.tools.label.labelled import LabelError, State

    dataset = Dataset.open(args.dataset)
    if args.to.exists() and any(args.to.iterdir()):
        raise LabelError(f"{args.to}: contains files; name a new or empty folder")
    data = dataset.labelled([State.CORRECTED] if args.corrected else State)
    (export_coco if args.format == "coco" else export_yolo)(data, args.to)
    print(f"{args.to}: {len(data.frames)} frames, {sum(data.counts())} boxes")
