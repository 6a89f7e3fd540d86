"""Checks the pinned packages: `python -m tests.support.audit`, or `make audit`.

Offline: every pin has hashes and comes from an index, the installed versions are the pinned ones, and every licence is
allowed. With network access, pip-audit checks for known vulnerabilities; if its service cannot be reached, the report
says that this was not checked, and the exit code is that of the other checks.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any

from packaging.markers import Marker

_ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-runtime.lock", "requirements-docs.lock")
_AUDITOR = "pip-audit==2.10.*"
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<marker>\s*;[^\\]*)?\s*\\?$")
_ALLOWED = (
    "0BSD", "Apache", "BSD", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "Mozilla Public License 2.0", "PSF-2.0", "Zlib",
)  # fmt: skip
"""Substrings of licence names. None of these licences obliges a user of sightd to more than attribution."""
_IN_ITS_FILES = {"axe-playwright-python": "MIT", "isodate": "BSD-3-Clause"}
"""Licences of packages that name theirs in a file only. axe-core, which this one contains, has the MPL-2.0."""
_BINDING = re.compile(r"\b[AL]?GPL|Affero|SSPL|Commons Clause|non-?commercial", re.IGNORECASE)


def main() -> int:
    """Prints what was checked and every problem. Returns 0 if there is none, else 1."""
    locks = {name: (_ROOT / name).read_text(encoding="utf-8") for name in LOCKS}
    problems = [f"{name}: {problem}" for name, text in locks.items() for problem in unpinned(text)]
    pins = pinned(locks["requirements.lock"])
    problems += differing(pins, pinned(locks["requirements-runtime.lock"]))
    problems += installed_otherwise(pins)
    checked, found = vulnerabilities(_audited(_ROOT / "requirements.lock"))
    problems += found
    lines = [*problems, f"{len(pins)} pins: hashes, versions and licences {'fit' if not problems else 'were checked'}"]
    lines.append(
        f"{checked} packages were checked for known vulnerabilities by pip-audit"
        if checked
        else "NOT CHECKED for known vulnerabilities: pip-audit cannot be installed or cannot reach its service here"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if problems else 0


def unpinned(text: str) -> Iterator[str]:
    """Yields the problems of a lock file: lines that are not NAME==VERSION with at least one sha256."""
    hashes, current = 0, ""
    for line in [*text.splitlines(), "end==0"]:
        if line.startswith((" ", "\t")):
            if not re.fullmatch(r"\s+--hash=sha256:[0-9a-f]{64}( \\)?", line):
                yield f"{current}: unknown option {line.strip()}"
            hashes += 1
            continue
        if current and not hashes:
            yield f"{current}: no hash"
        hashes, current = 0, line.rstrip(" \\")
        if line and not line.startswith("#") and not _PIN.match(line):
            yield f"{current}: not NAME==VERSION from an index"


def pinned(text: str) -> dict[str, str]:
    """Returns versions by package name, of those that are for this machine and this Python."""
    pins = (match for line in text.splitlines() if (match := _PIN.match(line)))
    return {match["name"]: match["version"] for match in pins if _is_for_here(match["marker"])}


def _is_for_here(marker: str | None) -> bool:
    return marker is None or Marker(marker.strip(" ;")).evaluate()


def differing(all_: Mapping[str, str], some: Mapping[str, str]) -> Iterator[str]:
    for name, pin in some.items():
        if all_.get(name) != pin:
            yield f"{name}: {pin} in one lock file, {all_.get(name, 'absent')} in the other (make lock)"


def installed_otherwise(pins: Mapping[str, str]) -> Iterator[str]:
    for name, pin in pins.items():
        try:
            there, data = version(name), metadata(name)
        except PackageNotFoundError:
            yield f"{name}: not installed (make setup)"
            continue
        if there != pin:
            yield f"{name}: {there} is installed, {pin} is pinned"
        if fault := licence_fault(data):
            yield f"{name}: {fault}"


def licence_fault(data: PackageMetadata) -> str | None:
    """Returns why a package may not be shipped with sightd; None if it may. Of licences joined by OR, one must be
    allowed; of those in parentheses, all."""
    classifiers = [one.split(" :: ")[-1] for one in data.get_all("Classifier") or [] if one.startswith("License ::")]
    given = data.get_all("License-Expression") or data.get_all("License") or classifiers
    text = _IN_ITS_FILES.get(data["Name"]) or "; ".join(given).strip()
    if not text:
        return "states no licence"
    text = text.splitlines()[0]
    if _BINDING.search(text):
        return f"licence {text}"
    choices = [text] if "(" in text else re.split(r"\s+OR\s+", text)
    if any(all(map(_is_allowed, re.split(r"\s+(?:AND|OR)\s+|[;/]", choice))) for choice in choices):
        return None
    return f"licence {text!r} is on no list: see whether it may be used, and add it to tests/support/audit.py"


def _is_allowed(licence: str) -> bool:
    return any(allowed in licence for allowed in _ALLOWED)


def vulnerabilities(report: Mapping[str, Any] | None) -> tuple[int, list[str]]:
    """Returns how many packages pip-audit looked up, and the vulnerabilities it found. Without its service, pip-audit
    skips every package and still reports no known vulnerabilities."""
    known = [one for one in (report or {}).get("dependencies", []) if "skip_reason" not in one]
    found = [f"{one['name']} {one['version']}: {bug['id']}, fixed in {', '.join(bug['fix_versions']) or 'no version'}"
             for one in known for bug in one["vulns"]]  # fmt: skip
    return len(known), found


def _audited(lock: Path) -> Mapping[str, Any] | None:
    """Returns pip-audit's report, None if it could not be installed or run. It runs in its own environment, separate
    from what it audits."""
    with tempfile.TemporaryDirectory() as scratch:
        python = Path(scratch) / "bin" / "python"
        steps = [
            [sys.executable, "-m", "venv", scratch],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _AUDITOR],
            [str(python), "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off",
             "--timeout=10", "--format=json", f"--requirement={lock}"],
        ]  # fmt: skip
        for step in steps:
            try:
                done = subprocess.run(step, capture_output=True, text=True, check=False, timeout=300)
            except subprocess.TimeoutExpired:
                return None
            if done.returncode != 0 and step is not steps[-1]:
                return None
    try:
        report: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return report


if __name__ == "__main__":
    sys.exit(main())
