"""`bench.faces` measures what it claims, and its table distinguishes met from missed aims."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import faces

pytestmark = pytest.mark.computing


def test_both_are_measured() -> None:
    figure = faces.measure(2000, 4, 2, repeats=3)
    assert figure.ours > 0
    assert figure.product > 0
    assert (figure.embeddings, figure.each, figure.faces) == (2000, 4, 2)


@pytest.mark.parametrize(("ours", "product", "kept"), [(1.0, 0.9, True), (2.5, 2.4, False), (1.0, 0.5, False)])
def test_an_aim_is_time_and_ratio(ours: float, product: float, kept: bool) -> None:
    assert faces.Figure(10_000, 1, 1, ours, product).kept is kept


def taking(ours: float) -> Callable[[int, int, int], faces.Figure]:
    return lambda embeddings, each, count: faces.Figure(embeddings, each, count, ours, 1.0)


def test_the_exit_code_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(faces, "measure", taking(1.0))
    assert faces.main(["--json", str(tmp_path / "out.json")]) == 0
    assert len(json.loads((tmp_path / "out.json").read_text())) == 8
    monkeypatch.setattr(faces, "measure", taking(99.0))
    assert faces.main([]) == 1
    assert "MISSED" in capsys.readouterr().out
