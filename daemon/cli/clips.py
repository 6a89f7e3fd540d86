"""`sightd clips`: lists, saves, joins, protects and deletes recordings, of the running daemon or in its folder."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import av

from sightd.daemon.cli.arguments import SubParsers, moment
from sightd.daemon.cli.output import exit_code_of, mebibytes, output, print_table
from sightd.daemon.config.load import load
from sightd.daemon.config.model import Recording
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.control.client import Client, ControlError, NoDaemonError
from sightd.daemon.control.discovery import DaemonSelection, find, local_setup
from sightd.daemon.recording.index import Clip, ClipFilter, ClipIndex, ClipIndexError, ClipReader
from sightd.daemon.recording.joined import LONGEST, JoinError, joined
from sightd.daemon.recording.store import recordings_folder
from sightd.engines.files import Replacement
from sightd.engines.text import json_text, local_time
from sightd.plugins.api import WHICH_DAEMON, ApiError, UsageError, add_daemon_options

_EPILOG = f"""\
examples:
  sightd clips list --camera gate --since 2h
  sightd clips list --segments --since 2026-03-01T12:00 --until 2026-03-01T13:00
  sightd clips list --event 812             the clip of an event
  sightd clips show 3                       its times, events and file
  sightd clips save 3 gate.mp4
  sightd clips export gate gate.mp4 --since 2026-03-01T12:00 --until 2026-03-01T12:10
  sightd clips protect 3 4                  never deleted for age, size or a full disk
  sightd clips delete 3

export joins the segments of a camera without re-encoding: from the key frame before --since, without the segment that
is still being written. If no daemon is running, the command works on the folder of the service, or of the configuration
given by -c. To protect, a token needs the role operate; to delete, the role admin.

{WHICH_DAEMON}
The exit code is 0 on success, 1 if there is no such recording or it cannot be read or written, 2 for wrong usage or an
invalid configuration, 3 if the daemon given by --url or --socket does not answer.
"""
_AT_ONCE = 1 << 20

Form = Mapping[str, Any]
Write = Callable[[bytes], object]


class Recordings(Protocol):
    """The recordings of a daemon, or in a folder. Methods that name one raise ApiError or UsageError if there is
    none."""

    def found(self, wanted: ClipFilter, limit: int) -> Sequence[Form]: ...

    def one(self, number: int) -> Form: ...

    def folder(self) -> Path | None:
        """Returns where the files are; None if that is on another machine."""
        ...

    def save(self, number: int, write: Write) -> None: ...

    def export(self, camera: str, since: float, until: float, write: Write) -> None: ...

    def change(self, action: str, number: int) -> None:
        """`action` is protect, unprotect or delete."""
        ...


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "clips",
        help="list, save, protect and delete recordings",
        description="Lists, saves, joins, protects and deletes clips of events and segments.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_list(actions)
    show = actions.add_parser("show", help="show one", description="Shows a recording.")
    show.add_argument("id", type=int, metavar="ID")
    save = actions.add_parser("save", help="save one as a file", description="Saves a recording as an MP4 file.")
    save.add_argument("id", type=int, metavar="ID")
    export = actions.add_parser("export", help="join segments", description="Joins a camera's segments to a file.")
    export.add_argument("camera", metavar="CAMERA")
    export.add_argument("--since", type=moment, required=True, metavar="TIME", help="begin, or how long ago: 2h")
    export.add_argument("--until", type=moment, metavar="TIME", help="end; by default now")
    for action in (save, export):
        action.add_argument("file", type=Path, metavar="FILE", help="file to write; an existing one is replaced")
    parsers = [show, save, export]
    for name, summary in (
        ("protect", "keep recordings, whatever their age and size"),
        ("unprotect", "end their protection"),
        ("delete", "delete recordings that are not protected"),
    ):
        change = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        change.add_argument("ids", type=int, nargs="+", metavar="ID")
        parsers.append(change)
    for one in parsers:
        add_daemon_options(one)
        one.set_defaults(run=run)


def _add_list(actions: SubParsers) -> None:
    listed = actions.add_parser("list", help="list them, newest first", description="Lists clips, or segments.")
    add_daemon_options(listed)
    listed.add_argument("--segments", action="store_true", help="segments instead of clips")
    listed.add_argument("--camera", metavar="NAME", help="only those of this camera")
    listed.add_argument("--since", type=moment, metavar="TIME", help="only those after a time, or of the last 2h, 7d")
    listed.add_argument("--until", type=moment, metavar="TIME", help="only those before a time")
    listed.add_argument("--event", type=int, metavar="ID", help="only those that show this event")
    listed.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (default: 100)")
    listed.add_argument("--json", action="store_true", help="print JSON, one object per line")
    listed.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    codes = {
        ConfigError: 2, UsageError: 2, NoDaemonError: 3, ControlError: 1, ApiError: 1, ClipIndexError: 1, JoinError: 1,
        OSError: 1, av.FFmpegError: 1,
    }  # fmt: skip
    actions = {"list": _list, "show": _show, "save": _save, "export": _export}
    return exit_code_of(lambda: actions.get(args.action, _change)(args, _recordings(args)), codes)


def _list(args: argparse.Namespace, recordings: Recordings) -> None:
    if not 1 <= args.limit <= 1000:
        raise UsageError("--limit must be from 1 to 1000")
    kind: Any = "segment" if args.segments else "clip"
    found = recordings.found(ClipFilter(args.camera, args.since, args.until, args.event, None, kind), args.limit)
    if args.json:
        for form in found:
            print(json_text(form))
    elif found:
        titles = ("ID", "CAMERA", "BEGIN", "LENGTH", "SIZE", "CODEC", "PROTECTED", "EVENTS")
        print_table(titles, map(_row, found), output())
    else:
        print(f"there are no {kind}s")


def _row(form: Form) -> tuple[str, ...]:
    begin, end = _seconds(form["begin"]), _seconds(form["end"])
    codec = form["codec"] + (f"+{form['audio']}" if form["audio"] else "")
    events = ", ".join(map(str, form["events"])) or "-"
    length, protected = f"{end - begin:.0f} s", "yes" if form["protected"] else "-"
    return str(form["id"]), form["camera"], local_time(begin), length, mebibytes(form["size"]), codec, protected, events


def _show(args: argparse.Namespace, recordings: Recordings) -> None:
    form, folder = recordings.one(args.id), recordings.folder()
    shown = {**form, "file": form["file"] if folder is None else str(folder / form["file"])}
    print(json_text(shown, indent=2))


def _save(args: argparse.Namespace, recordings: Recordings) -> None:
    _write(args.file, lambda write: recordings.save(args.id, write))


def _export(args: argparse.Namespace, recordings: Recordings) -> None:
    until = time.time() if args.until is None else args.until
    if not args.since < until <= args.since + LONGEST:
        raise UsageError("--until must be after --since, by at most 24 hours")
    _write(args.file, lambda write: recordings.export(args.camera, args.since, until, write))


def _write(path: Path, fill: Callable[[Write], None]) -> None:
    """Writes a file whole or not at all."""
    new = Replacement(path)
    try:
        fill(new.write_all)
    except BaseException:
        new.discard()
        raise
    new.commit()
    print(f"{path}: {mebibytes(path.stat().st_size)}")


def _change(args: argparse.Namespace, recordings: Recordings) -> int:
    failed = 0
    for number in args.ids:
        try:
            recordings.change(args.action, number)
        except ApiError as error:
            print(f"sightd: {error}", file=sys.stderr)
            failed = 1
        else:
            print(f"recording {number}: {args.action.removesuffix('e')}ed")
    return failed


def _recordings(args: argparse.Namespace) -> Recordings:
    client = find(DaemonSelection.of(args), os.environ)
    if client is not None:
        return _OfDaemon(client, is_here=args.url is None)
    config, environ = local_setup(args.config)
    options = Recording()
    if config is not None:
        options = load(config, environ=environ, plugins=installed_plugins(), cameras=False).config.recording
    folder = recordings_folder(options, environ)
    print(f"sightd: no daemon is running; using {folder}", file=sys.stderr)
    return _OfFolder(folder)


class _OfDaemon:
    def __init__(self, client: Client, *, is_here: bool) -> None:
        self._client, self._is_here = client, is_here

    def found(self, wanted: ClipFilter, limit: int) -> Sequence[Form]:
        names = ("camera", "since", "until", "event", "kind")
        query = {name: getattr(wanted, name) for name in names if getattr(wanted, name) is not None}
        forms: list[Form] = self._client.json("GET", "/api/v1/clips", query={**query, "limit": limit})
        return forms

    def one(self, number: int) -> Form:
        form: Form = self._client.json("GET", f"/api/v1/clips/{number}")
        return form

    def folder(self) -> Path | None:
        clips = self._client.json("GET", "/api/v1/status")["storage"]["clips"] if self._is_here else None
        return None if clips is None else Path(clips["path"])

    def save(self, number: int, write: Write) -> None:
        self._client.download(f"/api/v1/clips/{number}.mp4", write)

    def export(self, camera: str, since: float, until: float, write: Write) -> None:
        self._client.download(
            f"/api/v1/recordings/{quote(camera, safe='')}.mp4", write, query={"since": since, "until": until}
        )

    def change(self, action: str, number: int) -> None:
        if action == "delete":
            self._client.json("DELETE", f"/api/v1/clips/{number}")
        else:
            self._client.json("POST", f"/api/v1/clips/{number}/{action}")


class _OfFolder:
    def __init__(self, folder: Path) -> None:
        self._folder, self._reader = folder, ClipReader(folder)

    def found(self, wanted: ClipFilter, limit: int) -> Sequence[Form]:
        return [clip.for_json() for clip in self._reader.clips(wanted, limit)]

    def one(self, number: int) -> Form:
        return self._clip(number).for_json()

    def folder(self) -> Path | None:
        return self._folder

    def save(self, number: int, write: Write) -> None:
        with (self._folder / self._clip(number).path).open("rb") as file:
            while piece := file.read(_AT_ONCE):
                write(piece)

    def export(self, camera: str, since: float, until: float, write: Write) -> None:
        segments = self._reader.segments(camera, since, until)
        if not segments:
            raise UsageError(f"camera {camera} has no segments of that time")
        for piece in joined(self._folder, segments, since, until):
            write(piece)

    def change(self, action: str, number: int) -> None:
        self._clip(number)
        with closing(ClipIndex(self._folder)) as index:
            if action != "delete":
                index.protect(number, action == "protect")
            elif (clip := index.delete(number)) is not None and clip.protected:
                raise ApiError(409, f"Recording {number} is protected: unprotect it first.", {})

    def _clip(self, number: int) -> Clip:
        clip = self._reader.clip(number)
        if clip is None:
            raise ApiError(404, f"There is no recording {number}.", {})
        return clip


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
