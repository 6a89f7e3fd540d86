"""However an example file is changed, the loader loads it or reports problems; it fails in no other way."""

from __future__ import annotations

import json

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightd.daemon.config.load import load_text
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.config.yaml import YamlSyntaxError, parse
from tests.daemon.config.examples import CANARY, ENVIRON, EXAMPLES, FOLDER

TEXTS = ["\n".join(line for line in path.read_text().splitlines() if line[:1] != "#") for path in EXAMPLES]
SCHEMA = jsonschema.Draft202012Validator(json.loads((FOLDER / "sightd.schema.json").read_text()))
SIGNS = [
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
    "|",
    ">",
    "#",
    "%",
    "---",
    "...",
    "\\",
    "? ",
    "<<: ",
]
TAGS = ["<<: ", "&a ", "*a", "!!int ", "!x ", "${", "$${", "${env:YARD_PASSWORD}", "\0", "\ud800", "\u2028"]
WORDS = ["null", "true", "on", "0x1", ".inf", "-1", "1e9", "~", "source", "use", "plugins:\n", "chain: "]
PIECES = st.one_of(st.sampled_from(SIGNS + TAGS + WORDS), st.text(max_size=4))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.sampled_from([0, 0, 1, 2, 5, 20]))
        text = text[:start] + draw(PIECES) + text[start + length :]
    return text


def problems_of(text: str) -> ConfigError | None:
    """Returns the problems of a text. If it loads, checks that the schema accepts it, too."""
    try:
        loaded = load_text(text, FOLDER / "x.yaml", environ=ENVIRON, plugins=installed_plugins())
    except ConfigError as error:
        return error
    assert CANARY not in "".join(map(str, loaded.warnings))
    assert SCHEMA.is_valid(parse(text).value)
    return None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_mutated_example_is_read_or_reported_without_a_secret(text: str) -> None:
    error = problems_of(text)
    if error is not None:
        lines = 2 + sum(text.count(end) for end in "\n\r\x85\u2028\u2029")
        assert error.problems
        assert all(1 <= problem.line <= lines and problem.column >= 1 for problem in error.problems)
        assert CANARY not in f"{error} {error!r} {error.problems!r}"


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(list("ab:{}[]-\n \t'\"&*!|>#%@`?,<.~0\\$\ud800")), max_size=60))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    try:
        problems = parse(text).problems
    except YamlSyntaxError as error:
        problems = [error.problem]
    lines = 2 + text.count("\n")
    assert all(1 <= problem.line <= lines and problem.column >= 1 for problem in problems)
