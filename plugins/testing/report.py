"""What the conformance kit found, for people and for asserts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of the contract, whether it was kept, and what happened where it was not."""

    name: str
    ok: bool
    detail: str = ""

    def __str__(self) -> str:
        return f"{'ok    ' if self.ok else 'FAILED'}  {self.name}{': ' + self.detail if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class Report:
    """The checks of one plug-in, in the order in which they were made."""

    plugin: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

    def __str__(self) -> str:
        verdict = "keeps to the contract" if self.ok else f"breaks {len(self.failed)} of {len(self.checks)} rules"
        return "\n".join([*map(str, self.checks), f"{self.plugin} {verdict}"])
