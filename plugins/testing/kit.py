"""Runs every rule of the contract against a plug-in."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightd.plugins.api import AnyPlugin
from sightd.plugins.testing.behaviour import BEHAVIOUR
from sightd.plugins.testing.context import EngineLoader
from sightd.plugins.testing.declaration import DECLARATION, OPENING
from sightd.plugins.testing.report import Check, Report
from sightd.plugins.testing.subject import BrokenRuleError, Rule, Subject

_KIT = Path(__file__).parent


def check_plugin(
    plugin: type[AnyPlugin], config: Mapping[str, Any] | None = None, *, engine: EngineLoader | None = None
) -> Report:
    """Holds a plug-in class to the contract of `sightd.plugins.api`.

    `config` are its options as they stand in the configuration file, `engine` gives it its networks (each is loaded
    once). It is fed with made-up moving boxes; a plug-in that needs `Detections` or `Tracks` gets those of the boxes.
    What it declares, how it opens and what it does
    are checked in this order, and a fault in one ends the check. Never raises for what the plug-in does.
    """
    subject = Subject(plugin, config or {}, engine)
    checks: list[Check] = []
    try:
        for rules in (DECLARATION, OPENING, BEHAVIOUR):
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
    except Exception as error:  # noqa: BLE001 - a foreign plug-in may raise anything, and that is the finding
        return Check(name, False, f"raised {type(error).__name__}: {error}{_place(error, subject.plugin)}")
    return Check(name, True)


def _place(error: Exception, plugin: type[AnyPlugin]) -> str:
    """Where it was raised: the innermost line of the plug-in's own package, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    home = Path(getattr(sys.modules.get(plugin.__module__), "__file__", None) or ".").parent
    own = [frame for frame in frames if Path(frame.filename).parent.is_relative_to(home)]
    inside = [frame for frame in own if Path(frame.filename).parent != _KIT]
    frame = (inside or frames)[-1]
    return f" ({frame.filename}:{frame.lineno}, in {frame.name})"
