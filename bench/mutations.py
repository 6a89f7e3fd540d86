"""Gives a running daemon ten thousand broken configurations, one after another: `python -m bench.mutations`.

Each is a good file with a few random changes from a seed. The daemon must apply it completely or not at all: after each
response its cameras and plug-ins are those of the last accepted file, and a rejection says where in the file.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from sightd.daemon.config.diff import enabled, plugins_in_use
from sightd.daemon.config.load import LoadedConfig, load
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.waiting import eventually

_TEXT = """\
cameras:
  yard:
    source: testpattern://
    width: 160
    height: 120
    fps: 5
    title: The yard
    timeout: 3s
    reconnect: {{initial_delay: 500ms, max_delay: 8s}}
  door:
    source: testpattern://
    fps: 5
    enabled: true
    chain: [finder]
    render: {{boxes: true, trail_length: 2s, colour_by: track}}
    output: {{crf: 23, preset: ultrafast, max_height: 120}}
chain: [finder, tracker]
plugins:
  finder:
    use: detector
    model: {{file: {network}, head: ssd, labels: [thing]}}
    min_score: 0.4
    max_fps: 5
  tracker: {{}}
models: {{fetch: false}}
log: {{level: error}}
rtsp: {{port: 0}}
http: {{port: 0}}
"""
_PIECES = [
    ": ",
    "- ",
    "\n",
    "\t",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "#",
    "\\",
    "&a ",
    "*a",
    "<<: ",
    "!x ",
    "${env:HOME}",
]
_WORDS = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e9",
    ".nan",
    "10",
    "x",
    "yard",
    "finder",
    "tracker",
    "detector",
    "source",
]
_PLACE = re.compile(r"sightd\.yaml:\d+:\d+: ")


@dataclass
class Outcome:
    """`faults` are violations, each with the configuration that caused it; `taken` and `refused` are counts."""

    taken: int = 0
    refused: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0


def mutate(text: str, chance: random.Random) -> str:
    """Returns the text with one to three changes: a fragment inserted or overwritten, a word replaced, a line deleted,
    duplicated or swapped with another."""
    for _ in range(chance.randint(1, 3)):
        lines = text.splitlines(keepends=True)
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                start = chance.randrange(len(text))
                text = text[:start] + chance.choice(_PIECES) + text[start + chance.choice([0, 0, 1, 3]) :]
            case 1:
                words = list(re.finditer(r"[\w.]+", text))
                word = chance.choice(words)
                text = text[: word.start()] + chance.choice(_WORDS) + text[word.end() :]
            case 2:
                text = "".join(lines[:at] + lines[at + 1 :])
            case 3:
                text = "".join([*lines[: at + 1], *lines[at:]])
            case _:
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
                text = "".join(lines)
        text = text or "\n"
    return text


class Trial:
    """A daemon, and the configuration it should be running at the moment."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon
        self._client = httpx.Client(headers={"X-Sightd": "1"}, timeout=60)
        self._now = self._loaded()
        self.outcome = Outcome()

    def give(self, text: str) -> None:
        """Reloads the daemon with one file and checks the result."""
        self._daemon.path.write_text(text)
        answer = self._client.post(self._daemon.url("/api/v1/reload"))
        wanted = None
        with suppress(ConfigError):
            wanted = self._loaded()
        if answer.status_code == 200:
            self.outcome.taken += 1
            if wanted is None:
                self._fault("a file with faults was taken", text)
            else:
                self._now = wanted
        elif answer.status_code == 409:
            self.outcome.refused += 1
            if not _PLACE.search(answer.json()["detail"]):
                self._fault(f"a refusal without a place: {answer.json()['detail']}", text)
        else:
            self._fault(f"answered {answer.status_code}", text)
        self._look(text)

    def give_good(self, text: str) -> None:
        """Checks that the daemon still accepts a good file and that everything in it becomes ready."""
        taken = self.outcome.taken
        self.give(text)
        if self.outcome.taken == taken:
            self._fault("the good file was refused", text)
        with suppress(AssertionError):
            eventually(self._ready, 30, "all runs")
            return
        self._fault("not ready after the good file", text)

    def _ready(self) -> bool:
        return bool(self._client.get(self._daemon.url("/readyz")).json()["ready"])

    def _look(self, text: str) -> None:
        state = self._client.get(self._daemon.url("/readyz")).json()
        if set(state["cameras"]) != set(enabled(self._now.config)):
            self._fault(f"cameras {sorted(state['cameras'])}", text)
        if set(state["plugins"]) != set(plugins_in_use(self._now)):
            self._fault(f"plug-ins {sorted(state['plugins'])}", text)

    def _loaded(self) -> LoadedConfig:
        return load(self._daemon.path, environ={"HOME": "/nowhere"}, plugins=installed_plugins())

    def _fault(self, what: str, text: str) -> None:
        self.outcome.faults.append((what, text))


def trial(folder: Path, count: int, seed: int, report: Callable[[int, Outcome], None]) -> Outcome:
    """Tries `count` configurations. Every hundredth is the good file, which must be accepted whatever came before."""
    network = one_object_network(folder)["model"]["file"]
    chance, begun = random.Random(seed), time.monotonic()
    with DaemonProcess(folder, {"cameras": {"yard": {"source": "testpattern://"}}}, {"HOME": "/nowhere"}) as daemon:
        good = _TEXT.format(network=network)
        running = Trial(daemon)
        for number in range(1, count + 1):
            if number % 100 == 0:
                running.give_good(good)
                report(number, running.outcome)
            else:
                running.give(mutate(good, chance))
    running.outcome.seconds = time.monotonic() - begun
    return running.outcome


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if there was no violation, else 1."""
    parser = argparse.ArgumentParser(prog="bench.mutations", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same files again (default: %(default)s)")
    args = parser.parse_args(argv)

    def report(number: int, now: Outcome) -> None:
        told = f"{number:6} given, {now.taken} taken, {now.refused} refused, {len(now.faults)} faults"
        print(told, file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        found = trial(Path(folder), args.count, args.seed, report)
    for what, text in found.faults[:10]:
        print(f"--- {what}\n{text}")
    told = f"{found.taken} taken whole, {found.refused} refused with their place, {len(found.faults)} faults"
    print(f"{args.count} configurations in {found.seconds:.0f} s: {told}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
