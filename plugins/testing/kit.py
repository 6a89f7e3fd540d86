"""Runs every rule of the contract against a plug-in and reports the findings."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightd.plugins.api import AnyPlugin
from sightd.plugins.testing.rules import BEHAVIOUR, DECLARATION, OPENING
from sightd.plugins.testing.service_rules import SERVICE_BEHAVIOUR, SERVICE_DECLARATION
from sightd.plugins.testing.stubs import EngineLoader
from sightd.plugins.testing.subject import BrokenRuleError, Rule, Subject


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of the contract, whether it holds, and if not, what happened."""

    name: str
    ok: bool
    detail: str = ""

    def __str__(self) -> str:
        return f"{'ok    ' if self.ok else 'FAILED'}  {self.name}{': ' + self.detail if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class Report:
    """The checks of one plug-in, in the order in which they ran."""

    plugin: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

    def __str__(self) -> str:
        """Prints each message once; the same message for several rules usually has a single cause."""
        lines: list[str] = []
        first: dict[str, str] = {}
        for check in self.checks:
            same_as = first.setdefault(check.detail, check.name) if not check.ok and check.detail else check.name
            lines.append(str(check if same_as == check.name else replace(check, detail=f'as "{same_as}"')))
        verdict = "follows the contract" if self.ok else f"breaks {len(self.failed)} of {len(self.checks)} rules"
        return "\n".join([*lines, f"{self.plugin} {verdict}"])


_KIT = Path(__file__).parent


def check_plugin(
    plugin: type[AnyPlugin], config: Mapping[str, Any] | None = None, *, engine: EngineLoader | None = None
) -> Report:
    """Checks a plug-in class against the contract of `sightd.plugins.api`.

    `config` holds its options as in the configuration file. `engine` loads its models, each of them once. The plug-in
    is fed synthetic moving boxes, as `Detections`, `Tracks` and `Appearances` if it requires them. Its service is
    opened with an empty state directory, and asked by GET only. What it declares, how it opens and how it behaves are
    checked in this order; a failure in one group ends the check. Never raises for a fault of the plug-in.
    """
    subject = Subject(plugin, config or {}, engine)
    checks: list[Check] = []
    try:
        for rules in (DECLARATION | SERVICE_DECLARATION, OPENING, BEHAVIOUR | SERVICE_BEHAVIOUR):
            checks += [_checked(name, rule, subject) for name, rule in rules.items()]
            if not all(check.ok for check in checks):
                break
    finally:
        subject.close()
    return Report(getattr(plugin, "__name__", repr(plugin)), tuple(checks))


def _checked(name: str, rule: Rule, subject: Subject) -> Check:
    try:
        rule(subject)
    except BrokenRuleError as broken:
        return Check(name, False, str(broken))
    except Exception as error:  # noqa: BLE001 - a third-party plug-in may raise anything, which is then the finding
        return Check(name, False, f"raised {type(error).__name__}: {error}{_place(error, subject.plugin)}")
    return Check(name, True)


def _place(error: Exception, plugin: type[AnyPlugin]) -> str:
    """Returns where the error was raised: the innermost line in the plug-in's own package, else of all."""
    frames = traceback.extract_tb(error.__traceback__)
    home = Path(getattr(sys.modules.get(plugin.__module__), "__file__", None) or ".").parent
    own = [frame for frame in frames if Path(frame.filename).parent.is_relative_to(home)]
    inside = [frame for frame in own if Path(frame.filename).parent != _KIT]
    frame = (inside or frames)[-1]
    return f" ({frame.filename}:{frame.lineno}, in {frame.name})"
