"""`sightd classifier`: trains classifiers on the user's own images."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import exit_code_of

_EXAMPLES = """examples:
  sightd classifier train birds/                          birds/robin/*.jpg, birds/wren/*.jpg, …
  sightd classifier train birds/ --name garden --base resnet50

FOLDER contains one folder of images per class, named after the class; 20 images per class are enough for a useful
classifier. The model is stored on this machine and can be used immediately:

  plugins: {classifier: {model: birds}}

The folder NAME-report contains the confusion matrix as an image, the figures as JSON, and the model with its labels
for use on other machines (model: {file: birds.onnx, labels: birds.txt}).
"""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "classifier",
        help="train a classifier on folders of images",
        description="Trains classifiers for the classifier plug-in on your own images.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    train = actions.add_parser(
        "train",
        help="train a classifier on a folder with one subfolder per class",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("folder", type=Path, metavar="FOLDER", help="folder with one subfolder of images per class")
    train.add_argument("--name", metavar="NAME", help="name of the new model (default: name of the folder)")
    train.add_argument(
        "--base", default="mobilenet-v2", metavar="NETWORK", help="model to use as base (default: %(default)s)"
    )
    train.add_argument("--report", type=Path, metavar="FOLDER", help="folder of the report (default: NAME-report)")
    train.add_argument("--directory", type=Path, help="model folder, as in `models.directory`")
    train.set_defaults(do=_train)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 success, 1 if images or files are unusable, 2 if the model name is unknown, 3 if the base model is
    unavailable."""
    from sightd.daemon.tools.media import MediaError
    from sightd.daemon.tools.training.preflight import TrainingError
    from sightd.engines.errors import EngineError, UnknownModelError

    codes = {UnknownModelError: 2, TrainingError: 1, MediaError: 1, EngineError: 3, OSError: 1}
    return exit_code_of(lambda: args.do(args), codes)


def _train(args: argparse.Namespace) -> int:
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.config.load import known_networks
    from sightd.daemon.config.model import Models
    from sightd.daemon.tools.training.classifier import train_classifier
    from sightd.daemon.tools.training.images import labelled
    from sightd.daemon.tools.training.preflight import TrainingError, checked, name_from
    from sightd.daemon.tools.training.report import table, write_report
    from sightd.engines.labels import IMAGENET_LABELS, WITH_OWN
    from sightd.engines.models.catalog import Catalog
    from sightd.engines.models.fetch import Fetcher
    from sightd.engines.models.mirror import default_mirror
    from sightd.engines.models.store import ModelStore, default_directory, ensure_model

    store = ModelStore(args.directory or default_directory(os.environ))
    known = known_networks(Models(directory=args.directory), os.environ)
    pictures = labelled(args.folder)
    made = [model for model in known if model.path is not None]
    others = [model.name for model in made if model.role != "classifier" or model.labels == IMAGENET_LABELS]
    taken = {*Catalog.load().models, WITH_OWN}
    name = checked(args.name or name_from(args.folder.resolve().name), taken, others)
    report = args.report or Path(f"{name}-report")
    report.mkdir(parents=True, exist_ok=True)  # fail before the training, not after it
    base = known.get(args.base)
    if base.role != "classifier":
        raise TrainingError(f"--base {base.name} is a {base.role}, not a classifier; see `sightd models list`")
    if base.path is not None:
        raise TrainingError(f"--base {base.name} was trained here: use the model that it is based on")
    with ProgressBar() as progress:
        ensure_model(base, store, Fetcher(progress, default_mirror(os.environ)))
    threads = len(os.sched_getaffinity(0))
    with ProgressBar(unit="") as progress:
        trained = train_classifier(pictures, base, name, store, threads, progress)
    write_report(report, trained, len(pictures))
    for line in pictures.left_out:
        print(f"skipped: {line}", file=sys.stderr)
    print("\n".join(table(trained.validation)))
    print(f"{name}: stored as {trained.model.path}; report: {report}")
    print(f"to use it: plugins: {{classifier: {{model: {name}}}}}")
    return 0
