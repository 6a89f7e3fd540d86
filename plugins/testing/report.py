"""The findings of the conformance kit, for people and for assertions."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
        verdict = "keeps to the contract" if self.ok else f"breaks {len(self.failed)} of {len(self.checks)} rules"
        return "\n".join([*lines, f"{self.plugin} {verdict}"])
