"""`sightd faces`: manages the people known to the face plug-in."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import complain
from sightd.daemon.control.client import ApiClient, Client
from sightd.daemon.control.discovery import HELP, add_options

if TYPE_CHECKING:
    from sightd.daemon.control.local import LocalFaces
    from sightd.plugins.face.config import FaceConfig

_EXAMPLES = f"""examples:
  sightd faces add "Ada Lovelace" ada.jpg                 one photograph suffices, several are better
  sightd faces list
  sightd faces compare a.jpg b.jpg                        are these the same person?
  sightd faces unknown list                               who came by and was not known?
  sightd faces unknown name 7 "Grace Hopper"
  sightd faces forget "Ada Lovelace"                      removes her for good, from every file
  sightd faces calibrate                                  what your own gallery says of the thresholds
  sightd faces list -c config/sightd.yaml                 of the daemon that runs this configuration
  sightd faces list --url https://box:8080 --token-file box.token

The daemon that runs does the work, and knows a new person at once. If none runs, the files are changed that its
configuration (with the service installed: the service) would use, and the command says which. Photographs show one
person, in daylight, looking into the camera.

{HELP}
The exit code is 0 if all went well, 1 if something was refused or failed, 2 for wrong usage or a faulty configuration,
3 if a model is not available, or the daemon named by --url or --socket does not answer.
"""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "faces",
        help="enrol, list, rename and remove people",
        description="Manages the gallery: the people that the face plug-in recognises.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    add_options(common)
    common.add_argument("--plugin", metavar="NAME", help="name of the face plug-in, if the configuration has several")
    common.add_argument("--gallery", type=Path, metavar="FILE", help="use this gallery file instead of a daemon")
    common.add_argument("--key-file", type=Path, metavar="FILE", help="file with the key of an encrypted gallery")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")

    _add_persons(actions, common, as_json)
    _add_gallery(actions, common, as_json)
    _add_unknown(actions, common, as_json)
    parser.set_defaults(run=run)


def _add_persons(actions: SubParsers, common: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    from sightd.daemon.cli import face_actions as do

    action = actions.add_parser("add", parents=[common], help="enrol a person from photographs")
    action.add_argument("name", metavar="NAME")
    action.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    action.add_argument(
        "--anyway", action="store_true", help="also accept photos that do not look like the person's other photos"
    )
    action.set_defaults(do=do.enrol)
    actions.add_parser("list", parents=[common, as_json], help="list all people").set_defaults(do=do.list_persons)
    for name, summary, work in (
        ("show", "show a person's faces and sightings", do.show),
        ("remove", "remove a person", do.remove),
        ("forget", "remove a person and erase their data from the files", do.forget),
    ):
        action = actions.add_parser(name, parents=[common, as_json] if name == "show" else [common], help=summary)
        action.add_argument("name", metavar="NAME")
        action.set_defaults(do=work)
    action = actions.add_parser("rename", parents=[common], help="rename a person")
    action.add_argument("old", metavar="OLD")
    action.add_argument("new", metavar="NEW")
    action.set_defaults(do=do.rename)
    action = actions.add_parser("merge", parents=[common], help="merge FROM into INTO, which keeps its name")
    action.add_argument("source", metavar="FROM")
    action.add_argument("into", metavar="INTO")
    action.set_defaults(do=do.merge)


def _add_gallery(actions: SubParsers, common: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    from sightd.daemon.cli import face_actions as do

    action = actions.add_parser(
        "compare", parents=[common, as_json], help="check whether two photos show the same person"
    )
    action.add_argument("one", type=Path, metavar="A")
    action.add_argument("other", type=Path, metavar="B")
    action.set_defaults(do=do.compare)
    for name, summary, work in (
        ("export", "export all people to a file, unencrypted", do.export_all),
        ("import", "import people from an exported file", do.import_all),
    ):
        action = actions.add_parser(name, parents=[common], help=summary)
        action.add_argument("file", type=Path, metavar="FILE")
        action.set_defaults(do=work)
    action = actions.add_parser("calibrate", parents=[common, as_json], help="fit the thresholds to your own gallery")
    action.add_argument("--apply", action="store_true", help="use the result from now on")
    action.set_defaults(do=do.calibrate)
    actions.add_parser(
        "see-again", parents=[common], help="recompute embeddings of kept faces after `recogniser` changed"
    ).set_defaults(do=do.reembed)


def _add_unknown(actions: SubParsers, common: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    from sightd.daemon.cli import face_actions as do

    unknown = actions.add_parser("unknown", help="people who were seen and not recognised")
    choices = unknown.add_subparsers(dest="choice", metavar="CHOICE", required=True)
    choices.add_parser("list", parents=[common, as_json], help="list them, most recently seen first").set_defaults(
        do=do.list_unknown
    )
    action = choices.add_parser("name", parents=[common], help="enrol one of them")
    action.add_argument("number", type=int, metavar="ID")
    action.add_argument("name", metavar="NAME")
    action.add_argument("--anyway", action="store_true", help="even if the face looks like a person with another name")
    action.set_defaults(do=do.name_unknown)
    action = choices.add_parser("forget", parents=[common], help="remove some of them, or all")
    which = action.add_mutually_exclusive_group(required=True)
    which.add_argument("numbers", nargs="*", type=int, default=[], metavar="ID")
    which.add_argument("--all", action="store_true")
    action.set_defaults(do=do.forget_unknown)
    action = choices.add_parser("picture", parents=[common], help="save the best image of one as a PNG file")
    action.add_argument("number", type=int, metavar="ID")
    action.add_argument("file", type=Path, metavar="FILE")
    action.set_defaults(do=do.unknown_picture)


def run(args: argparse.Namespace) -> int:
    """Runs the action on the gallery."""
    from sightd.daemon.cli.output import exit_code_of
    from sightd.daemon.config.problems import ConfigError
    from sightd.daemon.control.client import ApiError, ControlError, NoDaemonError, UsageError
    from sightd.plugins.face.gallery.errors import GalleryError

    codes = {ConfigError: 2, UsageError: 2, NoDaemonError: 3, GalleryError: 1, ControlError: 1, ApiError: 1}
    return exit_code_of(lambda: _run(args), codes)


def _run(args: argparse.Namespace) -> int:
    from sightd.daemon.cli.face_actions import FaceClient
    from sightd.daemon.control.client import ApiError

    try:
        with _api(args) as client:
            code: int = args.do(args, FaceClient(client, args.plugin if isinstance(client, Client) else None))
    except ApiError as error:
        if error.status != 503:
            raise
        complain(error)
        return 3
    return code


@contextmanager
def _api(args: argparse.Namespace) -> Iterator[ApiClient]:
    """Yields the API of the selected daemon, or of the gallery file if one is given or no daemon is running."""
    from sightd.daemon.control.client import UsageError
    from sightd.daemon.control.discovery import DaemonSelection, find
    from sightd.daemon.control.installed_service import service_of

    choice = DaemonSelection.of(args)
    direct = args.gallery is not None or args.key_file is not None
    if direct and (choice.url or choice.socket):
        raise UsageError("--gallery and --key-file name a file, --url and --socket a daemon: give one of them")
    client = None if direct else find(choice, os.environ)
    if client is not None:
        yield client
        return
    service = service_of(choice.config)
    config = choice.config or (service.config if service else None)
    local = _local(args, config, service.environment(os.environ) if service else os.environ)
    try:
        if not direct:
            print(f"sightd: no daemon is running; working on {local}", file=sys.stderr)
        yield local
    finally:
        local.close()


def _local(args: argparse.Namespace, config: Path | None, environ: Mapping[str, str]) -> LocalFaces:
    from pydantic import SecretStr

    from sightd.daemon.cli.face_actions import READING
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.config.load import load, load_text
    from sightd.daemon.config.plugin_entries import installed_plugins
    from sightd.daemon.control.local import LocalFaces
    from sightd.daemon.faces.service import key_in, open_face_service
    from sightd.daemon.pipeline.model_loading import engine_loading

    plugins = installed_plugins()
    if config is None or (args.gallery is not None and args.config is None):
        none = Path("(command line)")
        loaded = load_text("plugins: {face: {}}", none, environ=environ, plugins=plugins, cameras=False)
    else:
        loaded = load(config, environ=environ, plugins=plugins, cameras=False)
    options = _face_config(loaded.plugin_configs, args.plugin)
    changed = {
        "gallery": args.gallery,
        "key": None if args.key_file is None else SecretStr(key_in(args.key_file) or ""),
    }
    options = options.model_copy(update={name: value for name, value in changed.items() if value is not None})
    loading = engine_loading(loaded.config.models, loaded.config.engines, ProgressBar())
    can_only_read = args.do in READING  # tolerates a full or read-only disk, and creates no file
    return LocalFaces(
        open_face_service(options, loading, environ, may_stand_in=can_only_read, create=not can_only_read)
    )


def _face_config(configs: object, name: str | None) -> FaceConfig:
    from sightd.plugins.face.config import FaceConfig
    from sightd.plugins.face.gallery.errors import GalleryError

    assert isinstance(configs, dict)
    faces = {key: config for key, config in configs.items() if isinstance(config, FaceConfig)}
    if name is not None and name not in faces:
        raise GalleryError(f"the configuration has no face plug-in {name!r}, only: {', '.join(faces) or 'none'}")
    if not faces:
        raise GalleryError("the configuration has no face plug-in: leave -c out, or name the gallery with --gallery")
    if name is None and len({config.gallery for config in faces.values()}) > 1:
        raise GalleryError(f"the configuration has several galleries: choose with --plugin {' | '.join(faces)}")
    return faces[name] if name is not None else next(iter(faces.values()))
