"""Single options are edited in the text of a file; all other lines stay as they are."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightd.daemon.config.editing import EditError, with_option, with_order, without_option
from sightd.daemon.config.yaml import parse
from tests.daemon.config.examples import EXAMPLES

TEXT = """\
# head
cameras:
  # the front
  front:
    source: testpattern://   # src
    # chain: [x]
  # the back
  back: {source: testpattern://, title: 'Back'}

# plug-ins
plugins:
  detector:
    min_score: 0.4  # low
    classes: [a,
       b]
chain: [detector]
"""


def changed(after: str, before: str = TEXT) -> list[str]:
    """Returns the lines that were removed (-) and added (+)."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_a_value_is_replaced_and_its_comment_stays() -> None:
    after = with_option(TEXT, ("plugins", "detector", "min_score"), 0.55)
    assert changed(after) == ["-    min_score: 0.4  # low", "+    min_score: 0.55  # low"]


def test_a_list_over_several_lines_is_replaced() -> None:
    after = with_option(TEXT, ("plugins", "detector", "classes"), ["person", "a, b"])
    assert changed(after) == ["-    classes: [a,", "-       b]", '+    classes: [person, "a, b"]']


def test_a_new_camera_comes_after_the_last_one_and_before_the_next_section() -> None:
    after = with_option(TEXT, ("cameras", "new"), {"source": "rtsp://u:p@h/x", "reconnect": {"max_delay": "8s"}})
    assert changed(after) == ["+  new:", '+    source: "rtsp://u:p@h/x"', "+    reconnect:", "+      max_delay: 8s"]
    assert after.index("new:") < after.index("# plug-ins")


def test_a_new_camera_comes_before_another_one_with_its_comment() -> None:
    after = with_option(TEXT, ("cameras", "new"), {"source": "x"}, before="back")
    assert after.index("new:") < after.index("# the back")


def test_options_are_added_between_brackets() -> None:
    after = with_option(TEXT, ("cameras", "back", "title"), "yes: it, is")
    assert changed(after)[1] == '+  back: {source: testpattern://, title: "yes: it, is"}'
    after = with_option(TEXT, ("cameras", "back", "fps"), 5)
    assert changed(after)[1] == "+  back: {source: testpattern://, title: 'Back', fps: 5}"


def test_missing_sections_are_added() -> None:
    after = with_option(TEXT, ("events", "rules", "night"), {"kinds": ["zone.*"]})
    assert changed(after) == ["+events:", "+  rules:", "+    night:", '+      kinds: ["zone.*"]']


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "cameras:\n", "cameras: {}  # none\n", "cameras: ~\n"])
def test_the_first_camera_is_added(text: str) -> None:
    after = with_option(text, ("cameras", "a"), {"source": "x"})
    assert parse(after).value == {"cameras": {"a": {"source": "x"}}}
    assert all(line in after for line in text.splitlines() if line.startswith("#"))


def test_a_file_of_json_stays_one() -> None:
    after = with_option('{"cameras": {"a": {"source": "x"}}}', ("cameras", "b"), {"source": "y"})
    assert after == '{"cameras": {"a": {"source": "x"}, b: {source: y}}}'


def test_an_option_is_removed_with_the_comment_above_it() -> None:
    after = without_option(TEXT, ("cameras", "front"))
    removed = ["-  # the front", "-  front:", "-    source: testpattern://   # src", "-    # chain: [x]"]
    assert changed(after) == removed
    assert changed(without_option(TEXT, ("cameras", "back", "source")))[1] == "+  back: {title: 'Back'}"


def test_the_last_option_leaves_an_empty_mapping() -> None:
    after = without_option(without_option(TEXT, ("cameras", "back")), ("cameras", "front"))
    assert parse(after).value["cameras"] == {}  # type: ignore[index]
    with pytest.raises(KeyError):
        without_option(after, ("cameras", "front"))


def test_cameras_are_reordered_with_their_comments() -> None:
    after = with_order(TEXT, ("cameras",), ["back", "front"])
    assert changed(after)[:2] == ["+  # the back", "+  back: {source: testpattern://, title: 'Back'}"]
    flow = "cameras: {a: {source: x}, b: {source: y}} # both\n"
    assert with_order(flow, ("cameras",), ["b", "a"]) == "cameras: {b: {source: y}, a: {source: x}} # both\n"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("x-a: &a {source: x}\ncameras: {a: *a, b: *a}", ("cameras", "a", "title")),
        ("cameras: {a: &a {source: x}, b: *a}", ("cameras", "a", "title")),
        ("cameras: [a]", ("cameras", "a")),
    ],
)
def test_what_several_places_share_is_not_edited(text: str, path: tuple[str, ...]) -> None:
    with pytest.raises(EditError, match="edit the text of the file instead"):
        with_option(text, path, "T")


def test_an_option_over_one_that_is_merged_is_added() -> None:
    text = "x-a: &a {source: x, fps: 2}\ncameras: {a: {<<: *a}}\n"
    after = with_option(text, ("cameras", "a", "fps"), 3)
    assert after == "x-a: &a {source: x, fps: 2}\ncameras: {a: {<<: *a, fps: 3}}\n"


_TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12)
_KEYS = st.text("abc: #-'\"", min_size=1, max_size=4)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([("cameras", "front", "title"), ("cameras", "back", "title"), ("plugins", "detector", "classes"),
                        ("cameras", "new", "a b"), ("chain",)]), _VALUES)  # fmt: skip
def test_any_value_can_be_set_and_removed(path: tuple[str, ...], value: object) -> None:
    after = with_option(TEXT, path, value)  # which itself compares the values of the new text
    assert without_option(after, path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_option_of_the_examples_can_be_set_to_what_it_is(path: object) -> None:
    text = path.read_text()  # type: ignore[attr-defined]
    values = parse(text).value
    assert isinstance(values, dict)
    for section, options in values.items():
        if not isinstance(options, dict) or section.startswith("x-"):
            continue
        for name, value in list(options.items())[:3]:
            assert parse(with_option(text, (section, name), value)).value == values
