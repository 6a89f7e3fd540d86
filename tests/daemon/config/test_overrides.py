from __future__ import annotations

import pytest

from sightd.daemon.config.overrides import Override, OverrideError, apply, parse_override


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("detector.min_score=0.01", ("plugins", "detector", "min_score"), 0.01),
        ("plugins.detector.min_score=1", ("plugins", "detector", "min_score"), 1),
        ("detector.classes=[person, car]", ("plugins", "detector", "classes"), ["person", "car"]),
        ("detector.model={file: a.onnx}", ("plugins", "detector", "model"), {"file": "a.onnx"}),
        ("render.trails=false", ("render", "trails"), False),
        ("cameras.x.output.crf=30", ("cameras", "x", "output", "crf"), 30),
        ("tracker.max_lost=2s", ("plugins", "tracker", "max_lost"), "2s"),
        ("log=", ("log",), None),
        ("a.b=c=d", ("plugins", "a", "b"), "c=d"),
    ],
)
def test_an_override_is_a_way_through_the_file_and_a_yaml_value(
    text: str, path: tuple[str, ...], value: object
) -> None:
    assert parse_override(text) == Override(path, value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("detector.min_score", "NAME.OPTION=VALUE"),
        ("=5", "NAME.OPTION=VALUE"),
        ("a..b=5", "NAME.OPTION=VALUE"),
        ("detector=5", "no option given"),
        ("detectr.min_score=5", 'did you mean "detector"'),
        ("detector.classes=[a", "bracket is not closed"),
        ("detector.classes=!x y", "tags are not supported"),
    ],
)
def test_a_fault_says_how_to_write_it(text: str, told: str) -> None:
    with pytest.raises(OverrideError, match=told):
        parse_override(text, ["detector", "tracker"])


def test_overrides_stand_over_the_file_and_a_later_one_over_an_earlier() -> None:
    values = {"plugins": {"detector": {"min_score": 0.5, "every": 2}}}
    overrides = [parse_override("detector.min_score=0.1"), parse_override("detector.min_score=0.2")]
    assert apply(values, overrides) == {"plugins": {"detector": {"min_score": 0.2, "every": 2}}}
    assert values == {"plugins": {"detector": {"min_score": 0.5, "every": 2}}}


def test_sections_that_are_not_there_are_made() -> None:
    assert apply({"plugins": None}, [parse_override("detector.every=2")]) == {"plugins": {"detector": {"every": 2}}}


def test_a_path_through_a_value_is_reported() -> None:
    with pytest.raises(OverrideError, match="no options at this level"):
        apply({"chain": ["a"]}, [parse_override("chain.x=1")])
