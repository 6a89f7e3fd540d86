"""`sightd detector`: trains detectors on the user's own labelled frames."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sightd.daemon.cli.arguments import SubParsers, number
from sightd.daemon.cli.output import exit_code_of

if TYPE_CHECKING:
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.tools.label.labelled import LabelledFrames
    from sightd.daemon.tools.training.detector.job import Trained
    from sightd.daemon.tools.training.detector.trainer import Plan
    from sightd.engines.model import Model
    from sightd.engines.models.store import ModelStore

_EXAMPLES = """examples:
  sightd detector train yard/                        a dataset folder (see `sightd label`)
  sightd detector train labels.json --images jpg/    COCO JSON
  sightd detector train parts/ --name parts --int8   a YOLO folder; also makes parts-int8

The last layers of a small published detector are trained for your classes; 50 labelled frames of one camera
are a good start. The model is stored on this machine and can be used immediately:

  plugins: {detector: {model: yard}}

Of each film or camera, the last frames are held out: one half decides when to stop, the other is measured at the end.
The folder NAME-report contains the figures before and after, the confusion matrix as an image, and the model with its
labels. After an interruption, run the same command again to resume.

Needs PyTorch: .venv/bin/pip install 'sightd[train]'. Exit code: 0 on success, 1 if
the dataset is invalid, 2 if the model name is unknown, 3 if a model is not available, 130 if interrupted.
"""

_COUNT = number(int, lambda value: value >= 1, "a positive whole number")
_RATE = number(float, lambda value: 0 < value <= 0.1, "a number above 0, at most 0.1")
_SHARE = number(float, lambda value: 0.05 <= value <= 0.8, "a number from 0.05 to 0.8")
_SIDE = number(int, lambda value: 160 <= value <= 1280 and value % 32 == 0, "a multiple of 32 from 160 to 1280")
_SEED = number(int, lambda value: 0 <= value < 2**31, "a whole number from 0")


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "detector",
        help="train a detector on your own labelled frames",
        description="Trains detectors for the detector plug-in on your own objects.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    train = actions.add_parser(
        "train",
        help="train a detector on labelled frames",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("dataset", type=Path, metavar="DATASET", help="dataset folder, COCO JSON file or YOLO folder")
    train.add_argument("--images", type=Path, metavar="FOLDER", help="folder of a COCO file's images")
    train.add_argument("--test", type=Path, metavar="DATASET", help="measure on these frames; held out are fewer then")
    train.add_argument("--name", metavar="NAME", help="name of the new model (default: name of the dataset)")
    train.add_argument(
        "--base", default="yolox-nano", metavar="NETWORK", help="YOLOX model to use as base (default: %(default)s)"
    )
    train.add_argument(
        "--proposed", action="store_true", help="also train on frames whose proposed boxes nobody has corrected"
    )
    _add_settings(train)
    train.add_argument("--int8", action="store_true", help="also make an int8 version, NAME-int8")
    train.add_argument("--work", type=Path, metavar="FOLDER", help="folder of the checkpoint (default: NAME-training)")
    train.add_argument("--report", type=Path, metavar="FOLDER", help="folder of the report (default: NAME-report)")
    train.add_argument("--directory", type=Path, help="model folder, as in `models.directory`")
    train.set_defaults(do=_train)
    parser.set_defaults(run=run)


def _add_settings(train: argparse.ArgumentParser) -> None:
    train.add_argument("--steps", type=_COUNT, default=600, metavar="N", help="training steps (default: %(default)s)")
    train.add_argument("--batch", type=_COUNT, default=8, metavar="N", help="views per step (default: %(default)s)")
    train.add_argument(
        "--rate", type=_RATE, default=1e-3, metavar="X",
        help="learning rate of the layers that predict; 0.3 of it for the others (default: %(default)g)",
    )  # fmt: skip
    train.add_argument(
        "--every", type=_COUNT, default=50, metavar="N",
        help="steps between measurements and checkpoints (default: %(default)s)",
    )  # fmt: skip
    train.add_argument(
        "--patience", type=_COUNT, default=6, metavar="N",
        help="stop after this many measurements without a better one (default: %(default)s)",
    )  # fmt: skip
    train.add_argument(
        "--hold-out", type=_SHARE, default=0.3, metavar="X",
        help="share of each film or camera that is held out (default: %(default)g)",
    )  # fmt: skip
    train.add_argument(
        "--size", type=_SIDE, default=0, metavar="PX",
        help="side of the model's input, a multiple of 32: small objects need more, and detecting takes longer "
        "(default: that of the base model, 416)",
    )  # fmt: skip
    train.add_argument("--no-mirror", action="store_true", help="never mirror frames: for text and signs")
    train.add_argument(
        "--train", choices=("head", "neck", "all"), default="neck",
        help="layers to train: head (those that predict, fastest), neck (also those that join the feature maps) or all "
        "(three times as long) (default: %(default)s)",
    )  # fmt: skip
    train.add_argument("--seed", type=_SEED, default=0, metavar="N", help="seed of all that is random (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 success, 1 if frames or files are unusable, 2 if the model name is unknown, 3 if the base model is
    unavailable, 130 if interrupted."""
    from sightd.daemon.tools.label.labelled import LabelError
    from sightd.daemon.tools.media import MediaError
    from sightd.daemon.tools.training.preflight import TrainingError
    from sightd.engines.errors import EngineError, UnknownModelError
    from sightd.plugins.api import PluginError

    codes = {
        UnknownModelError: 2, TrainingError: 1, LabelError: 1, MediaError: 1, PluginError: 1, EngineError: 3, OSError: 1
    }  # fmt: skip
    return exit_code_of(lambda: args.do(args), codes)


def _train(args: argparse.Namespace) -> int:
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.config.load import known_networks
    from sightd.daemon.config.model import Models
    from sightd.daemon.tools.label.dataset import read_labelled
    from sightd.daemon.tools.training.detector.shares import usable
    from sightd.daemon.tools.training.preflight import TrainingError, checked, import_torch, name_from
    from sightd.engines.labels import WITH_OWN
    from sightd.engines.models.catalog import Catalog
    from sightd.engines.models.fetch import Fetcher
    from sightd.engines.models.mirror import default_mirror
    from sightd.engines.models.store import ModelStore, default_directory, ensure_model

    import_torch()
    store = ModelStore(args.directory or default_directory(os.environ))
    known = known_networks(Models(directory=args.directory), os.environ)
    data = usable(read_labelled(args.dataset, args.images), proposed=args.proposed)
    made = [model for model in known if model.path is not None]
    taken = {*Catalog.load().models, WITH_OWN}
    name = checked(
        args.name or name_from(args.dataset.resolve().stem), taken, [one.name for one in made if one.role != "detector"]
    )
    base = known.get(args.base)
    if base.role != "detector" or base.head != "yolox":
        raise TrainingError(f"--base {base.name} is not a detector of the YOLOX family; see `sightd models list`")
    report = args.report or Path(f"{name}-report")
    report.mkdir(parents=True, exist_ok=True)  # fail before the training, not after it
    with ProgressBar() as progress:
        ensure_model(base, store, Fetcher(progress, default_mirror(os.environ)))
    try:
        with ProgressBar(unit="") as progress:
            trained = _trained(args, data, base, name, store, progress)
    except KeyboardInterrupt:
        print("interrupted; run the same command to resume from the last checkpoint", file=sys.stderr)
        return 130
    for line in data.left_out:
        print(f"skipped: {line}", file=sys.stderr)
    _show(trained, report)
    return _quantized(args, data, trained.model, store) if args.int8 else 0


def _trained(
    args: argparse.Namespace, data: LabelledFrames, base: Model, name: str, store: ModelStore, progress: ProgressBar
) -> Trained:
    from sightd.daemon.tools.label.dataset import read_labelled
    from sightd.daemon.tools.training.detector.job import DetectorJob
    from sightd.daemon.tools.training.detector.shares import relabelled, split, usable

    test = relabelled(usable(read_labelled(args.test), proposed=False), data.labels).frames if args.test else ()
    plan = _plan(args)
    shares = split(data.frames, plan.held_out, test=test)
    work = args.work or Path(f"{name}-training")
    work.mkdir(parents=True, exist_ok=True)
    threads = len(os.sched_getaffinity(0))
    job = DetectorJob(data, shares, base, plan, store, work, threads)
    return job.run(name, progress, progress.print)


def _plan(args: argparse.Namespace) -> Plan:
    from sightd.daemon.tools.training.detector.graph import Part
    from sightd.daemon.tools.training.detector.trainer import Plan

    return Plan(
        args.steps, args.batch, args.rate, args.every, args.patience,
        args.hold_out, not args.no_mirror, Part(args.train), args.seed, args.size,
    )  # fmt: skip


def _show(trained: Trained, report: Path) -> None:
    from sightd.daemon.tools.training.detector.report import table, write_report

    write_report(report, trained)
    print("\n".join(table(trained)))
    name = trained.model.name
    print(f"{name}: stored as {trained.model.path}; report: {report}")
    print(f"to use it: plugins: {{detector: {{model: {name}}}}}")


def _quantized(args: argparse.Namespace, data: LabelledFrames, model: Model, store: ModelStore) -> int:
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.tools.quantize import make_int8

    with ProgressBar(unit="pictures") as progress:
        sources = [frame.path for frame in data.frames]
        made = make_int8(model, store, sources, len(sources), progress, progress.print)
    print(f"{made.name}: {made.path}\n  {made.accuracy}")
    return 0
