"""A problem of a part is reported by the whole with the path that leads to it."""

from sightd.daemon.config.problems import LocatedProblem
from sightd.plugins.api import ConfigProblem


def test_the_path_of_the_whole_comes_first() -> None:
    of_part = ConfigProblem((0, "file"), "is not a file", "write a path")
    assert of_part.within("model") == ConfigProblem(("model", 0, "file"), "is not a file", "write a path")


def test_a_position_is_kept() -> None:
    assert LocatedProblem(("file",), "is empty", line=3).within("a", "b") == LocatedProblem(
        ("a", "b", "file"), "is empty", line=3
    )
