"""`sightd analyze`: runs the plug-ins on files, on every frame."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sightd.daemon.cli.arguments import SubParsers

if TYPE_CHECKING:
    from sightd.daemon.config.load import LoadedConfig
    from sightd.daemon.tools.analyze.job import AnalysisOutput

_EXAMPLES = """\
examples:
  sightd analyze street.mp4 --out results.jsonl
  sightd analyze photos/ clip.mkv --chain detector --set detector.min_score=0.01 --out results.jsonl
  sightd analyze people/ --chain face --set face.gallery=faces.db --out faces.jsonl
  sightd analyze -c config/sightd.yaml street.mp4 --out results.jsonl --annotated annotated/

A source is an image, a video, or a folder, including its subfolders. The images of a folder form one sequence, ordered
by the numbers in their names; tracks end with a sequence. Files that are neither images nor videos are listed and
skipped. Each line of the output is one frame:
  {"source": …, "frame": 0, "pts": 0.0, "width": 640, "height": 360,
   "detections": [{"box": [x1, y1, x2, y2], "score": 0.91, "class": "person", "class_id": 0, "track": 3,
                   "carried": true, "mask": {"size": [height, width], "counts": "52203"}, "classification": […],
                   "keypoints": [[x, y, score], …], "corners": [[x, y] × 4], "identity": 2, "appearance": […]}],
   "keypoint_names": ["nose", …], "skeleton": [[0, 1], …],
   "faces": [{"box": …, "score": 0.93, "landmarks": [[x, y] × 5], "quality": 0.8, "track": 1, "identity": "Ada",
              "similarity": 0.71, "margin": 0.6, "reason": …, "embedding": […]}],
   "classification": [{"label": "tabby", "class_id": 281, "score": 0.83}, …],
   "events": [{"kind": "motion.began", "phase": "once", "facts": {…}}]}
Boxes are in pixels of the displayed frame: upright, with square pixels; width and height are those of the frame. A
detection has the keys in its second and third line only if the chain finds such things:
  carried   true if the model did not look at the object's place on this frame (options look and gate)
  mask      the area that the object covers, or null: COCO's run lengths for the whole frame, which
            pycocotools.mask.decode reads
  keypoints in the order of keypoint_names; skeleton lists the pairs of them that are joined
  corners   those of an oriented box; box is then the upright box around it
  identity  number of an object that is the same on all cameras of a group (plug-in identity)
Embeddings and appearance need --embeddings. The plug-in zones adds zones, lines and objects (docs/zones.md). Plug-ins
of other packages can add keys, and events.

Bytes of a file name that are not UTF-8 are escaped (\\udc80 to \\udcff). Missing, broken or incomplete sources are
reported; their readable part and all other sources are analysed. After Ctrl-C or SIGTERM, all files written so far are
complete. Existing files are replaced only when the new file is complete; if that fails, they are left unchanged.

exit codes: 0 success, 1 a source failed, 2 invalid configuration, 3 a required component is missing
"""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "analyze",
        help="run plug-ins on image and video files",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs plug-ins on image and video files. Every frame is analysed; none is predicted.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="an image, a folder or a video")
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="use the chain, plug-ins and drawing options of this configuration file",
    )
    parser.add_argument(
        "--chain",
        type=lambda text: [name.strip() for name in text.split(",")],
        metavar="A,B",
        help="plug-ins in order; by default those of the configuration's `chain`, or detector,tracker without one",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME.OPTION=VALUE", dest="settings", help="set a single option"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="output file; by default, or with -, standard output")
    parser.add_argument(
        "--deinterlace",
        choices=["auto", "on", "off"],
        default="auto",
        help="auto: frames marked as interlaced (default); on: all frames; off: none",
    )
    parser.add_argument("--embeddings", action="store_true", help="include the embeddings of faces")
    parser.add_argument("--annotated", type=Path, metavar="FOLDER", help="write annotated copies into this folder")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Analyses all sources; reports each error on standard error."""
    from sightd.daemon.app.logs import configure
    from sightd.daemon.config.overrides import OverrideError
    from sightd.daemon.config.problems import ConfigError

    try:
        loaded = _loaded(args)
    except (ConfigError, OverrideError) as error:
        print(error, file=sys.stderr)
        return 2
    configure(loaded.config.log.model_copy(update={"level": "warning"}), sys.stderr, os.environ)
    for warning in loaded.warnings:
        _report(f"warning: {warning}")
    if args.out == Path("-"):
        args.out = None
    return _analyze(args, loaded)


def _loaded(args: argparse.Namespace) -> LoadedConfig:
    from sightd.daemon.config.load import load, load_text
    from sightd.daemon.config.overrides import Override, parse_override
    from sightd.daemon.config.plugin_entries import installed_plugins

    plugins = installed_plugins()
    overrides = [parse_override(setting, plugins.available) for setting in args.settings]
    if args.chain is not None or args.config is None:
        overrides.append(Override(("chain",), args.chain or ["detector", "tracker"], "--chain"))
    if args.config is not None:
        return load(args.config, environ=os.environ, plugins=plugins, overrides=overrides, cameras=False)
    here = Path("(command line)")
    return load_text("", here, environ=os.environ, plugins=plugins, overrides=overrides, cameras=False)


def _analyze(args: argparse.Namespace, loaded: LoadedConfig) -> int:
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.pipeline.model_loading import engine_loading
    from sightd.daemon.tools.analyze.job import Job, OfflineChain, ResultsError, examined
    from sightd.engines.errors import EngineError
    from sightd.plugins.api import PluginError
    from sightd.plugins.configuration import registry

    config = loaded.config
    if not config.chain:
        print(
            (
                f"{loaded.path}: it has no `chain`; specify the plug-ins with --chain, for example --chain "
                "detector,tracker"
            ),
            file=sys.stderr,
        )
        return 2
    if fault := _endangered(args):
        print(f"{fault}; use another file", file=sys.stderr)
        return 2
    sources = [examined(path) for path in args.sources]
    faults = [source.fault for source in sources if source.fault]
    for told in faults:  # before the slow loading of models
        _report(f"error: {told}")
    for source in sources:
        for told in source.left_out:
            _report(told)
    missing = len(faults)
    if missing == len(sources):
        return _concluded(missing, 0, missing)
    configs = {name: loaded.plugin_configs[name] for name in config.chain}
    if args.embeddings:
        configs = {name: options.for_embeddings() for name, options in configs.items()}
    progress = ProgressBar()
    try:
        with OfflineChain(engine_loading(config.models, config.engines, progress), _cores()) as chain:
            with progress:
                chain.open([(name, registry.load(options.use or name), options) for name, options in configs.items()])
            for engine in chain.engines:
                _report(f"{engine.model.name} on {engine.session.backend.name}: {engine.reason}")
            job = Job(
                chain, config.render, args.annotated, _report, embeddings=args.embeddings, deinterlace=args.deinterlace
            )
            with _output(args.out) as out:  # only now: if the chain cannot be opened, no empty file is left
                failed = missing + job.run(sources, out)
        return _concluded(len(sources), job.frames, failed)
    except (PluginError, EngineError) as error:
        print(error, file=sys.stderr)
        return 3
    except ResultsError as error:
        print(f"{args.out or 'standard output'}: cannot be written: {error}", file=sys.stderr)
        return 1


class _ResultsFile:
    """The results file. Each line is written completely and unbuffered."""

    def __init__(self, path: Path) -> None:
        from sightd.engines.files import Replacement

        self._new = Replacement(path)
        self._written = False

    def write(self, text: str) -> None:
        """Writes a line. Raises ResultsError if it cannot be written; earlier lines are kept."""
        from sightd.daemon.tools.analyze.job import ResultsError

        begin = self._new.file.tell() if self._new.file.seekable() else None
        try:
            self._new.write_all(text.encode())
        except OSError as error:
            if begin is not None:
                with suppress(OSError):  # devices claim to be seekable
                    self._new.file.truncate(begin)
            raise ResultsError(error.strerror or str(error)) from error
        self._written = True

    def flush(self) -> None:
        """Does nothing: lines are written unbuffered."""

    def finish(self, *, failed: bool) -> None:
        """Moves the file into place. If it failed, keeps the previous results if there are any, else what was
        written."""
        if failed and (self._new.replaces or not self._written):
            self._new.discard()
        else:
            self._new.commit()


@contextmanager
def _output(path: Path | None) -> Iterator[AnalysisOutput]:
    from sightd.daemon.tools.analyze.job import ResultsError

    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # JSON is UTF-8, whatever the terminal's encoding
        yield sys.stdout
        return
    try:
        file, failed = _ResultsFile(path), False
        try:
            yield file
        except ResultsError:
            failed = True
            raise
        finally:  # a signal ends it too; keep what was written
            file.finish(failed=failed)
    except OSError as error:
        raise ResultsError(error.strerror or str(error)) from error


def _endangered(args: argparse.Namespace) -> str | None:
    """Describes the option that would overwrite a source, if any."""
    from sightd.daemon.tools.analyze.annotated import endangered

    if args.annotated is not None and (source := endangered(args.annotated, args.sources)):
        return f"--annotated {args.annotated}: annotated copies would be mixed with the originals in {source}"
    if args.out is not None and args.out.resolve() in [source.resolve() for source in args.sources]:
        return f"--out {args.out}: is also a source"
    return None


def _concluded(sources: int, frames: int, failed: int) -> int:
    """Prints a one-line summary and returns the exit code."""
    told = f"{_counted(sources, 'source')}, {_counted(frames, 'frame')}"
    _report(told + (f"; {_counted(failed, 'source')} failed" if failed else ""))
    return 1 if failed else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _report(message: str) -> None:
    print(message, file=sys.stderr)


def _cores() -> int:
    return len(os.sched_getaffinity(0))
