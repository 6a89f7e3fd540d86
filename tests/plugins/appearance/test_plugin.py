"""The appearance plug-in: what it embeds, with which models, and how alike the vectors of photographs are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Appearances, Detections, FloatArray, Frame, Image, PluginError, Results
from sightd.plugins.appearance.config import AppearanceConfig
from sightd.plugins.appearance.plugin import AppearanceEmbedder
from sightd.plugins.testing import check_plugin
from tests.support.faces import photo
from tests.support.networks import stored, write_colours
from tests.support.onnx_models import constant_network
from tests.support.opening import opening

PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1)}


class Context:
    name = "appearance"

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        (wanted,) = choice
        model = Catalog.load().get(wanted) if isinstance(wanted, str) else wanted
        path = stored(model.name) if model.path is None else model.path
        return Engine(model, OnnxRuntimeSession(path, threads=2), "for the test")


Opened = Callable[..., AppearanceEmbedder]


@pytest.fixture
def colours(tmp_path: Path) -> dict[str, Any]:
    """A model whose vector is the mean colour."""
    return {"file": write_colours(tmp_path / "colours.onnx"), **PLAIN}


@pytest.fixture
def opened() -> Iterator[Opened]:
    with opening(lambda options: AppearanceEmbedder(AppearanceConfig.model_validate(options)), Context()) as make:
        yield make


def detections(boxes: object, scores: object = None) -> Detections:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(
        corners,
        np.ones(len(corners), np.float32) if scores is None else np.array(scores, np.float32),
        np.zeros(len(corners), np.int64),
        ("person",),
    )


def street(colour: tuple[int, int, int] = (0, 0, 255)) -> Image:
    image = np.zeros((120, 400, 3), np.uint8)
    image[:, :100] = colour
    image[:, 100:] = (255, 0, 0)
    return image


def embedded(plugin: AppearanceEmbedder, found: Detections, at: float = 0.0, camera: str = "gate") -> Appearances:
    frame = Frame.of(street(), captured_at=at, camera=camera)
    looks = plugin.process([frame], [Results(found)])[0].get(Appearances)
    assert looks is not None
    return looks


ONE, OTHER, THIRD = (10, 10, 50, 110), (200, 10, 240, 110), (300, 10, 340, 110)


def test_each_object_has_a_vector_of_its_own_region(opened: Opened, colours: dict[str, Any]) -> None:
    looks = embedded(opened(model=colours), detections([OTHER, ONE]))
    assert looks.detection.tolist() == [0, 1]
    assert looks.model == "colours"
    np.testing.assert_allclose(np.linalg.norm(looks.vectors, axis=1), 1, rtol=1e-5)
    assert float(looks.vectors[0] @ looks.vectors[1]) < 0.5


def test_an_object_is_embedded_when_it_is_new_and_again_when_its_look_is_old(
    opened: Opened, colours: dict[str, Any]
) -> None:
    plugin = opened(model=colours, max_objects=2, refresh="1s")
    found = detections([ONE, OTHER, THIRD])
    rows = [embedded(plugin, found, at).detection.tolist() for at in (0.0, 0.1, 0.2, 1.15, 1.3)]
    assert rows == [[0, 1], [2], [], [0, 1], [2]]
    assert embedded(plugin, found, 1.3, camera="yard").detection.tolist() == [0, 1], "cameras know nothing of another"
    plugin.forget("gate")
    assert embedded(plugin, found, 1.4).detection.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "rows"),
    [({}, [0]), ({"min_score": 0.1}, [0, 1]), ({"min_height": 5}, [0, 2]), ({"classes": ["car"]}, [])],
    ids=["by default", "doubtful ones", "small ones", "another class"],
)
def test_doubtful_small_and_other_objects_are_left_out(
    opened: Opened, colours: dict[str, Any], options: dict[str, Any], rows: list[int]
) -> None:
    found = detections([ONE, OTHER, (300, 10, 304, 20)], [0.9, 0.2, 0.9])
    assert embedded(opened(model=colours, **options), found).detection.tolist() == rows


def test_an_object_without_pixels_has_no_look(opened: Opened, colours: dict[str, Any]) -> None:
    assert len(embedded(opened(model=colours), detections([(395, 130, 399, 190), (10, 10, np.nan, 110)]))) == 0


def test_a_box_that_is_not_finite_does_not_put_others_in_doubt(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, refresh="1s")
    found = detections([ONE, (np.nan, 10, 50, 110), (10, 10, np.inf, 110)])
    assert [embedded(plugin, found, at).detection.tolist() for at in (0.0, 0.1, 0.2)] == [[0], [], []]


def test_nothing_is_embedded_without_a_detector(opened: Opened, colours: dict[str, Any]) -> None:
    found = opened(model=colours).process([Frame.of(street())], [Results()])[0].get(Appearances)
    assert found is not None
    assert len(found) == 0


def test_everything_is_embedded_for_embeddings(colours: dict[str, Any]) -> None:
    options = AppearanceConfig.model_validate({"model": colours, "max_objects": 1}).for_embeddings()
    plugin = AppearanceEmbedder(options)
    plugin.open(Context())
    found = detections([ONE, OTHER, THIRD], [0.9, 0.1, 0.1])
    assert [len(embedded(plugin, found, at)) for at in (0.0, 0.1)] == [3, 3]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("sface", '"sface" embeds aligned faces, which the plug-in `face` compares, and not objects'),
        ("mobilenet-v2", '"mobilenet-v2" returns the scores of its classes'),
        ("yunet", '"yunet" is a face-detector'),
        ("mobilenet-v2-embed", 'unknown embedder "mobilenet-v2-embed"; did you mean "mobilenet-v2-embedder"'),
    ],
)
def test_a_model_that_does_not_embed_objects_is_refused_with_what_does(model: str, message: str) -> None:
    (problem,) = AppearanceConfig(model=model).problems(Catalog.load())
    assert message in problem.message
    assert problem.hint is not None
    assert "known embedders: mobilenet-v2-embedder, youtu-reid; your own file" in problem.hint


def test_a_file_that_returns_no_vector_is_refused(tmp_path: Path) -> None:
    boxes = {"model": {"file": constant_network(tmp_path / "a.onnx", (8, 8), {"boxes": np.zeros((5, 4), np.float32)})}}
    (problem,) = AppearanceConfig.model_validate(boxes).problems(Catalog.load())
    assert "one vector per image" in problem.message
    scores = {"model": {"file": write_colours(tmp_path / "scores.onnx", last="Softmax")}}
    (problem,) = AppearanceConfig.model_validate(scores).problems(Catalog.load())
    assert "ends in scores of classes" in problem.message


def test_a_file_for_several_images_at_a_time_is_refused_by_the_check(tmp_path: Path) -> None:
    fixed = {"model": {"file": write_colours(tmp_path / "four.onnx", batch=4)}}
    (problem,) = AppearanceConfig.model_validate(fixed).problems(Catalog.load())
    assert problem.message.endswith("takes 4 images at a time: export it with a dynamic batch, or one of 1")


def test_a_file_that_returns_one_vector_for_all_images_is_an_error_when_it_is_opened(
    tmp_path: Path, opened: Opened
) -> None:
    file = write_colours(tmp_path / "mean.onnx")
    network = onnx.load(str(file))
    network.graph.node[-1].output[0] = "each"
    network.graph.node.append(helper.make_node("ReduceMean", ["each"], ["logits"], axes=[0], keepdims=1))
    onnx.save(network, str(file))
    with pytest.raises(PluginError, match=r"model 'mean' returns \[1, 3\] for 2 images, expected a vector each"):
        opened(model={"file": file, **PLAIN})


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_values_that_are_not_finite_are_an_error(tmp_path: Path, opened: Opened) -> None:
    with pytest.raises(PluginError, match="not finite"):
        opened(model={"file": write_colours(tmp_path / "a.onnx"), "scale": 1e38, "std": [1e-30, 1, 1]})


def test_the_conformance_kit_finds_no_fault(colours: dict[str, Any]) -> None:
    report = check_plugin(AppearanceEmbedder, {"model": colours}, engine=lambda choice: Context().engine(choice))
    assert report.ok, report


def test_the_embedder_of_the_catalogue_tells_people_apart(opened: Opened) -> None:
    """Three photographs of two men: the same picture in other light is more alike than the other man."""
    plugin = opened(max_objects=8)
    first, other = photo("obama.jpg"), photo("biden.jpg")
    darker = (first * 0.8).astype(np.uint8)

    def look(image: Image) -> FloatArray:
        height, width = image.shape[:2]
        found = detections([(0.2 * width, 0, 0.8 * width, height)])
        looks = plugin.process([Frame.of(image, still=True)], [Results(found)])[0].get(Appearances)
        assert looks is not None
        assert looks.vectors.shape == (1, 256)
        vector: FloatArray = looks.vectors[0]
        return vector

    assert float(look(first) @ look(darker)) > 0.95 > float(look(first) @ look(other)) + 0.1


def test_the_files_of_ones_own_model_are_named(colours: dict[str, Any]) -> None:
    networks = Catalog.load()
    assert list(AppearanceConfig.model_validate({"model": colours}).files(networks)) == [colours["file"]]
    assert list(AppearanceConfig().files(networks)) == []
