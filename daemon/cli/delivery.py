"""`sightd delivery`: shows how sinks are doing, and lists, retries and deletes dead letters."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import exit_code_of, output, print_table
from sightd.daemon.control.client import Client, ControlError, NoDaemonError
from sightd.daemon.control.discovery import DaemonSelection, find, local_setup
from sightd.daemon.delivery.store import (
    StoreError,
    dead_letters,
    delete_letters,
    known_sinks,
    mark_for_retry,
    progress_of,
    store_path,
)
from sightd.engines.text import json_text, local_time
from sightd.plugins.api import WHICH_DAEMON, ApiError, UsageError, add_daemon_options

_EPILOG = f"""\
examples:
  sightd delivery                           what each sink has still to send, and why
  sightd delivery list alarm --json | jq .event
  sightd delivery retry alarm               all dead letters of the sink
  sightd delivery retry alarm 812 815       those of these events
  sightd delivery delete alarm --all

A dead letter is an event that a sink has refused so often that sightd went on with the next one. Retried letters are
sent with their ids, the oldest event first, before the next new event; so they arrive after events that are newer.
If no daemon is running, the command works on the files in the state directory of the installed service, or in your
own; letters are sent after the next start.

{WHICH_DAEMON}
The exit code is 0 on success, 1 if there is no such letter or a file cannot be used, 2 for wrong usage or an unknown
sink, 3 if the daemon given by --url or --socket does not answer.
"""
Form = dict[str, Any]


class Letters(Protocol):
    """Dead letters of a daemon or of files. Methods raise UsageError for an unknown sink."""

    def status(self) -> list[Form]:
        """Returns sinks as in /api/v1/status; without a daemon, only what the files have."""

    def of(self, sink: str) -> list[Form]: ...

    def change(self, action: str, sink: str, ids: Collection[int] | None) -> list[int]:
        """Retries or deletes letters; returns the ids of their events."""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "delivery",
        help="show sinks, and events that they refused",
        description="Shows what became of events that were to be delivered. Without an action: how each sink is doing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    parser.set_defaults(run=run, json=False, config=None, socket=None, url=None, token_file=None, ca_file=None)
    status = actions.add_parser("status", help="how each sink is doing", description="Shows how each sink is doing.")
    listed = actions.add_parser("list", help="list dead letters", description="Lists dead letters, oldest first.")
    listed.add_argument("sink", nargs="?", metavar="SINK", help="only those of this sink")
    retry = actions.add_parser("retry", help="send dead letters again", description="Sends dead letters again.")
    retry.add_argument("sink", metavar="SINK")
    retry.add_argument("ids", nargs="*", type=int, metavar="EVENT", help="id of the event; by default all")
    delete = actions.add_parser("delete", help="delete dead letters", description="Deletes dead letters.")
    delete.add_argument("sink", metavar="SINK")
    delete.add_argument("ids", nargs="*", type=int, metavar="EVENT", help="id of the event")
    delete.add_argument("--all", action="store_true", help="all of the sink")
    for action in (status, listed, retry, delete):
        add_daemon_options(action)
    for action in (status, listed):
        action.add_argument("--json", action="store_true", help="print JSON, one object per line")


def run(args: argparse.Namespace) -> int:
    """Shows sinks, or lists or changes dead letters."""
    codes = {UsageError: 2, NoDaemonError: 3, StoreError: 1, ControlError: 1, ApiError: 1}
    actions = {None: _status, "status": _status, "list": _list, "retry": _change, "delete": _change}
    return exit_code_of(lambda: actions[args.action](args, _letters(args)), codes)


def _status(args: argparse.Namespace, letters: Letters) -> None:
    sinks = letters.status()
    if args.json:
        for sink in sinks:
            print(json_text(sink))
    elif sinks:
        print_table(("SINK", "TYPE", "STATE", "PENDING", "DEAD", "LOST", "FAULT"), map(_row, sinks))
    else:
        print("there are no sinks")


def _row(sink: Form) -> tuple[str, ...]:
    names = ("name", "type", "state", "pending", "dead", "lost", "fault")
    return tuple(_cell(sink.get(name)) for name in names)


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


def _list(args: argparse.Namespace, letters: Letters) -> None:
    names = [args.sink] if args.sink else [sink["name"] for sink in letters.status()]
    found = [(name, letter) for name in names for letter in letters.of(name)]
    if args.json:
        for name, letter in found:
            print(json_text({"sink": name, **letter}))
    elif found:
        rows = [_letter_row(name, letter) for name, letter in found]
        print_table(("SINK", "SINCE", "EVENT", "KIND", "RETRY", "REASON"), rows, output())
    else:
        print("there are no dead letters")


def _letter_row(sink: str, letter: Mapping[str, Any]) -> tuple[str, ...]:
    event, retry = letter["event"], "yes" if letter["retry"] else "no"
    return sink, local_time(letter["at"]), str(event["id"]), str(event["kind"]), retry, str(letter["reason"])


def _change(args: argparse.Namespace, letters: Letters) -> int:
    if args.action == "delete" and bool(args.ids) == args.all:
        raise UsageError("name events, or write --all")
    changed = letters.change(args.action, args.sink, args.ids or None)
    unknown = sorted(set(args.ids) - set(changed))
    if unknown:
        print(f"sightd: sink {args.sink} has no dead letter of event {_joined(unknown)}", file=sys.stderr)
    outcome = "will be sent again" if args.action == "retry" else "deleted"
    if changed or not unknown:
        print(f"dead letters of sink {args.sink} {outcome}: {_joined(changed) or 'none'}")
    return 1 if unknown else 0


def _joined(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))


def _letters(args: argparse.Namespace) -> Letters:
    client = find(DaemonSelection.of(args), os.environ)
    if client is not None:
        return _OfDaemon(client)
    _, environ = local_setup(args.config)
    print(f"sightd: no daemon is running; using {store_path(environ, 'x').parent}", file=sys.stderr)
    return _OfFiles(environ)


class _OfDaemon:
    def __init__(self, client: Client) -> None:
        self._client = client

    def status(self) -> list[Form]:
        sinks: list[Form] = self._client.json("GET", "/api/v1/status").get("sinks", [])
        return sinks

    def of(self, sink: str) -> list[Form]:
        found: list[Form] = self._asked("GET", sink, "dead")
        return found

    def change(self, action: str, sink: str, ids: Collection[int] | None) -> list[int]:
        changed: list[int] = self._asked("POST", sink, action, {"ids": None if ids is None else sorted(ids)})["ids"]
        return changed

    def _asked(self, method: str, sink: str, what: str, body: object = None) -> Any:
        try:
            return self._client.json(method, f"/api/v1/delivery/{sink}/{what}", body=body)
        except ApiError as error:
            if error.status != 404:
                raise
            raise UsageError(f"the daemon has no sink {sink}") from error


class _OfFiles:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def status(self) -> list[Form]:
        forms: list[Form] = []
        for name in known_sinks(self._environ):
            path = store_path(self._environ, name)
            position, lost = progress_of(path)
            forms.append({"name": name, "position": position, "dead": len(dead_letters(path)), "lost": lost})
        return forms

    def of(self, sink: str) -> list[Form]:
        self._require(sink)
        return [letter.for_json() for letter in dead_letters(store_path(self._environ, sink))]

    def change(self, action: str, sink: str, ids: Collection[int] | None) -> list[int]:
        self._require(sink)
        changing = mark_for_retry if action == "retry" else delete_letters
        return changing(store_path(self._environ, sink), ids)

    def _require(self, sink: str) -> None:
        known = known_sinks(self._environ)
        if sink not in known:
            folder = store_path(self._environ, "x").parent
            raise UsageError(f"sink {sink} has no file in {folder}; there are: {', '.join(known) or 'none'}")
