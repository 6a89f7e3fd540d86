"""The audit of the pinned packages finds each kind of problem."""

from __future__ import annotations

from email.message import Message
from typing import cast

import pytest

from tests.support.audit import _ROOT, LOCKS, differing, licence_fault, pinned, unpinned, vulnerabilities

HASH = "    --hash=sha256:" + "0" * 64


def test_the_lock_files_are_pinned_and_agree() -> None:
    texts = [(_ROOT / name).read_text() for name in LOCKS]
    assert [list(unpinned(text)) for text in texts] == [[]] * len(LOCKS)
    assert list(differing(*map(pinned, texts[:2]))) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"one>=1 \\\n{HASH}", "not NAME==VERSION"),
        (f"one @ https://evil.example/one.whl \\\n{HASH}", "not NAME==VERSION"),
        (f"-e ./one \\\n{HASH}", "not NAME==VERSION"),
        ("one==1", "no hash"),
        ("one==1 \\\n    --hash=md5:00", "unknown option"),
    ],
)
def test_what_is_not_pinned_by_hash_is_found(line: str, problem: str) -> None:
    assert problem in next(unpinned(f"zero==1 \\\n{HASH}\n{line}\ntwo==2 \\\n{HASH}\n"))


def test_lock_files_that_disagree_are_found() -> None:
    assert list(differing({"one": "1"}, {"one": "2", "two": "1"})) == [
        "one: 2 in one lock file, 1 in the other (make lock)",
        "two: 1 in one lock file, absent in the other (make lock)",
    ]


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("ISC", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True),
        ("EPL-2.0 OR BSD-3-Clause", True),
        ("EPL-2.0 AND BSD-3-Clause", False),
        ("(MIT OR BSD-3-Clause) AND Proprietary", False),
        ("AGPL-3.0-only", False),
        ("MIT AND GPL-3.0", False),
        ("Proprietary", False),
        ("", False),
    ],
)
def test_licences_that_bind_or_are_unknown_are_found(licence: str, allowed: bool) -> None:
    data = Message()
    data["License-Expression"] = licence
    assert (licence_fault(cast("object", data)) is None) is allowed  # type: ignore[arg-type]


def test_packages_that_nobody_looked_up_do_not_count_as_checked() -> None:
    skipped = {"name": "one", "skip_reason": "Dependency not found"}
    bug = {"id": "CVE-1", "fix_versions": ["2"]}
    assert vulnerabilities(None) == (0, [])
    assert vulnerabilities({"dependencies": [skipped]}) == (0, [])
    report = {"dependencies": [skipped, {"name": "two", "version": "1", "vulns": [bug]}]}
    assert vulnerabilities(report) == (1, ["two 1: CVE-1, fixed in 2"])
