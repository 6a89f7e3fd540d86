"""Each face is found once, wherever the search looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sightd.engines.session import Tensor
from sightd.engines.sessions.onnxruntime.cuda import with_sides
from sightd.plugins.api import FloatArray, Frame, Image, PluginError
from sightd.plugins.face.detector import DetectedFaces, HostFaceDetector, Plan, Search, face_detector_for
from sightd.plugins.face.search import SearchPlanner
from tests.support.faces import engine, frame, photo


def find(image: Image, people: FloatArray | None = None, **options: float) -> DetectedFaces:
    search = replace(Search(close_ups=0, only_people=people is not None), **options)  # type: ignore[arg-type]
    plan = SearchPlanner(search).plan(frame := Frame.of(image), people, np.zeros((0, 4), np.float32))
    return HostFaceDetector(engine("yunet"), search).find([frame], [plan])[0]


def crowd() -> Image:
    """Returns a large image with five small faces."""
    group = photo("multi_face.jpg")
    wide = np.full((1440, 2560, 3), 90, np.uint8)
    small = cv2.resize(group, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    wide[900 : 900 + small.shape[0], 1700 : 1700 + small.shape[1]] = small
    return wide


def test_no_face_is_a_finding() -> None:
    assert len(find(photo("coffee.png").copy())) == 0
    assert find(photo("coffee.png").copy()).landmarks.shape == (0, 5, 2)


def test_tiles_find_what_is_too_small_in_the_whole_and_each_once() -> None:
    assert len(find(crowd())) < 5
    found = find(crowd(), tiles=3)
    assert len(found) == 5
    assert (found.boxes[:, 0] > 1690).all()
    assert (found.boxes[:, 1] > 890).all()


def test_where_people_are_known_faces_are_looked_for_in_their_heads_alone() -> None:
    group = photo("multi_face.jpg").copy()
    all_faces = find(group)
    box = all_faces.boxes[0]
    width, height = box[2] - box[0], box[3] - box[1]
    person = np.array([[box[0] - width, box[1] - 0.3 * height, box[2] + width, box[3] + 5 * height]], np.float32)
    found = find(group, person)
    nearest = int(np.abs(found.boxes - box).sum(axis=1).argmin())
    np.testing.assert_allclose(found.landmarks[nearest], all_faces.landmarks[0], atol=12)
    assert len(found) < len(all_faces)
    assert len(find(group, np.zeros((0, 4), np.float32))) == 0
    assert len(find(group, np.array([[np.nan, 0, 5, 5], [3, 3, 9, 9]], np.float32))) == 0


def test_small_faces_are_left_out_where_that_is_asked() -> None:
    faces = find(photo("multi_face.jpg").copy())
    widths = faces.boxes[:, 2] - faces.boxes[:, 0]
    limit = float(np.sort(widths)[2])
    assert len(find(photo("multi_face.jpg").copy(), min_size=limit)) == 3


def test_a_smaller_input_costs_less_and_finds_large_faces_at_the_same_place() -> None:
    large, small = find(photo("astronaut.png").copy()), find(photo("astronaut.png").copy(), size=320)
    np.testing.assert_allclose(small.boxes, large.boxes, atol=6)


def test_frames_of_several_sizes_go_together() -> None:
    face_detector = HostFaceDetector(engine("yunet"), Search())
    frames = [frame("multi_face.jpg"), frame("coffee.png"), frame("astronaut.png")]
    found = face_detector.find(frames, [Plan.whole(one) for one in frames])
    assert [len(faces) for faces in found] == [5, 0, 1]


def test_another_network_is_refused() -> None:
    with pytest.raises(
        PluginError, match="'sface' has head 'embedding'; face detection requires a model with head 'yunet'"
    ):
        face_detector_for(engine("sface"), Search())


def test_a_session_of_a_fixed_size_is_fed_that_size() -> None:
    """Like TensorRT sessions when images are prepared on the CPU."""

    class OfFixedSize:
        def __init__(self) -> None:
            self._session = engine("yunet").session
            self.backend, self.outputs = self._session.backend, self._session.outputs
            self.inputs = with_sides(self._session.inputs, (640, 640))
            self.fed: list[tuple[int, ...]] = []

        def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            self.fed += [tensor.shape for tensor in inputs.values()]
            return self._session.run(inputs)

        def close(self) -> None: ...

    session = OfFixedSize()
    fixed = HostFaceDetector(replace(engine("yunet"), session=session), Search())
    found = fixed.find([group := frame("multi_face.jpg")], [Plan.whole(group)])[0]
    assert session.fed == [(1, 3, 640, 640)]
    np.testing.assert_allclose(found.boxes, find(photo("multi_face.jpg").copy()).boxes, atol=6)
