"""If a plug-in redacts, no frame is shown that it has not processed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest

from sightd.plugins.api import Detections, Frame, Plugin, PluginConfig, PrivacyMask, Results
from tests.daemon.pipeline.plugins import Finder, frame
from tests.daemon.pipeline.test_camera_pipeline import analysed, pipeline_of, scene

FACE = np.array([[1, 2, 3, 4]], np.float32)


class Hider(Plugin[PluginConfig]):
    """Redacts one region, or fails if the test says so."""

    produces: ClassVar[frozenset[type]] = frozenset({PrivacyMask})
    fails = silent = False
    region = FACE

    @property
    def redacts(self) -> bool:
        return True

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> Sequence[Results]:
        if self.fails:
            raise RuntimeError("the network is gone")
        return [Results() if self.silent else Results(PrivacyMask(self.region)) for _ in frames]

    def predict(self, frame: Frame, results: Results) -> Results:
        return Results(PrivacyMask(self.region))


def hidden_of(*plugins: Plugin[PluginConfig]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with pipeline_of(*plugins) as [pipeline]:
        task = pipeline.offer(frame())
        assert task is not None
        assert task.wait(5)
        hidden = task.results.get(PrivacyMask)
    assert hidden is not None
    return hidden.boxes


def whole() -> list[float]:
    of = frame()
    return [0, 0, of.width, of.height]


def test_what_it_redacts_is_in_the_results() -> None:
    assert hidden_of(Hider(PluginConfig())).tolist() == FACE.tolist()


@pytest.mark.parametrize("trouble", ["fails", "silent"])
def test_where_it_has_no_answer_everything_is_hidden(trouble: str) -> None:
    hider = Hider(PluginConfig())
    setattr(hider, trouble, True)
    assert whole() in hidden_of(hider).tolist()


def test_a_frame_that_it_did_not_see_is_hidden_whatever_it_predicts() -> None:
    with pipeline_of(Hider(PluginConfig())) as [pipeline]:
        predicted = pipeline.predicted(frame()).get(PrivacyMask)
    assert predicted is not None
    assert whole() in predicted.boxes.tolist()


def test_another_plug_in_uncovers_nothing() -> None:
    second = Hider(PluginConfig())
    second.region = np.array([[5, 6, 7, 8]], np.float32)
    assert hidden_of(Hider(PluginConfig()), second).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_plug_ins_that_hide_nothing_add_nothing() -> None:
    with pipeline_of(Finder()) as [pipeline]:
        assert not pipeline.redacts
        task = pipeline.offer(frame())
        assert task is not None
        assert task.wait(5)
        assert PrivacyMask not in task.results
        assert Detections in task.results


def test_the_line_says_that_it_redacts() -> None:
    with pipeline_of(Finder(), Hider(PluginConfig())) as [pipeline]:
        assert pipeline.redacts


def test_a_new_scene_is_hidden_until_it_was_seen() -> None:
    with pipeline_of(Hider(PluginConfig())) as [pipeline]:
        analysed(pipeline, scene(1, 0))
        after = scene(2, 1)
        hidden = pipeline.predicted(after).get(PrivacyMask)
    assert hidden is not None
    assert hidden.boxes.tolist() == [[0, 0, after.width, after.height]]
