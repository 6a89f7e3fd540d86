"""Frames become paintings according to the options, stable over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnx
import pytest

from sightd.daemon.capture.picture import to_bgr
from sightd.engines.labels import STYLES, WITH_OWN
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.convert.style_network import read, write
from sightd.engines.models.custom_models import CustomModelMetadata, file_of, put, with_custom_models
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Detections, Frame, FrameOverride, Image, Masks, PluginError, Results, Tracks
from sightd.plugins.style import Stylist
from sightd.plugins.style.compositing import enlarged
from sightd.plugins.style.config import StyleConfig
from tests.support import media
from tests.support.faces import photo
from tests.support.networks import stored, write_double, write_shaped
from tests.support.opening import opening


class Context:
    name = "style"

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        (name,) = choice
        if isinstance(name, Model):
            assert name.path is not None
            return Engine(name, OnnxRuntimeSession(name.path, threads=1), "for the test")
        return Engine(Catalog.load().get(name), OnnxRuntimeSession(stored(name), threads=2), "for the test")


@pytest.fixture
def opened() -> Iterator[Any]:
    with opening(lambda options: Stylist(StyleConfig.model_validate(options)), Context()) as make:
        yield make


def still() -> Image:
    return cv2.resize(photo("astronaut.png"), (256, 256)).astype(np.uint8)


def painted(plugin: Stylist, image: Image, results: Results | None = None, **frame: Any) -> Image:
    one = Frame.of(image.copy(), **{"still": True, **frame})
    picture = plugin.process([one], [results or Results()])[0].get(FrameOverride)
    assert picture is not None
    return picture.image


def apart(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_styles_differ_and_keep_what_is_to_be_seen(opened: Any) -> None:
    image = still()
    starry, frost = (painted(opened(style=name), image) for name in ("starry", "frost"))
    assert starry.shape == image.shape
    assert apart(starry, frost) > 30
    before, after = (
        cv2.GaussianBlur(cv2.cvtColor(one, cv2.COLOR_BGR2GRAY), (0, 0), 4).ravel() for one in (image, frost)
    )
    assert np.corrcoef(before, after)[0, 1] > 0.7


def test_at_its_own_size_it_is_the_networks_picture(opened: Any) -> None:
    """Without enlarging, smoothing and mixing, the result is what the reference model paints."""
    image = still()
    ours = painted(opened(style="delft", max_lines=256), image)
    planes = image[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
    weights = np.eye(26, dtype=np.float32)[[STYLES.index("delft")]]
    (reference,) = (
        OnnxRuntimeSession(stored("style26"), threads=2).run({"image": planes, "style_weights": weights}).values()
    )
    expected = reference[0].transpose(1, 2, 0)[:, :, ::-1] * 255
    assert np.abs(ours - expected).max() <= 0.51


def test_strength_mixes_with_the_picture_and_none_leaves_it(opened: Any) -> None:
    image = still()
    full, half, none = (painted(opened(style="ember", strength=share), image) for share in (1.0, 0.5, 0.0))
    assert np.array_equal(none, image)
    assert apart(half, ((full.astype(int) + image) // 2).astype(np.uint8)) < 1


def test_the_pictures_own_colours_can_be_kept(opened: Any) -> None:
    image = still()
    ours, plain = (painted(opened(style="ember", keep_colours=kept), image) for kept in (True, False))

    def chroma(one: Image) -> Image:
        return np.asarray(cv2.cvtColor(one, cv2.COLOR_BGR2YCrCb)[:, :, 1:], np.uint8)

    assert apart(chroma(ours), chroma(image)) < 0.4 * apart(chroma(plain), chroma(image))


def test_only_people_become_paint_or_everything_else(opened: Any) -> None:
    image = still()
    person = Results(
        Detections(
            np.array([[64, 64, 192, 192]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("person",)
        )
    )
    inside = painted(opened(where={"classes": ["Person"], "soft": 0}), image, person)
    outside = painted(opened(where={"classes": ["person"], "inside": False, "soft": 0}), image, person)
    middle, corner = np.s_[100:156, 100:156], np.s_[:40, :40]
    assert np.array_equal(inside[corner], image[corner])
    assert np.array_equal(outside[middle], image[middle])
    assert apart(inside[middle], image[middle]) > 15 < apart(outside[corner], image[corner])
    assert np.array_equal(painted(opened(where={"classes": ["person"]}), image), image), "nobody is there"


def test_paint_follows_the_masks_of_objects(opened: Any) -> None:
    image = still()
    box = np.array([[64, 64, 192, 192]], np.float32)
    found = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), ("person",))
    masks = Masks(box, (np.array([[True, False]]),), (256, 256))
    where = {"classes": ["person"], "soft": 0}
    ours = painted(opened(where=where), image, Results(found, masks))
    left, right = np.s_[64:192, 64:128], np.s_[64:192, 128:192]
    assert np.array_equal(ours[right], image[right])
    assert apart(ours[left], image[left]) > 15
    assert apart(ours[66:70, 66:70], image[66:70, 66:70]) > 5, "an ellipse would leave out the corner"
    ellipse = painted(opened(where={**where, "masks": False}), image, Results(found, masks))
    assert not np.array_equal(ellipse[right], image[right])


def test_no_tracks_is_a_result_too_and_nobody_is_painted(opened: Any) -> None:
    """Between confirmed tracks, raw detections must not appear in paint for a frame."""
    image = still()
    box, one, zero = np.array([[64, 64, 192, 192]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)
    found = Results(Detections(box, one, zero, ("person",)), Tracks.none(("person",)))
    assert np.array_equal(painted(opened(where={"classes": ["person"], "soft": 0}), image, found), image)


def test_a_polygon_has_a_soft_edge(opened: Any) -> None:
    image = still()
    left = {"polygons": [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]}
    hard, soft = (painted(opened(style="poster", where={**left, "soft": soft}), image) for soft in (0, 0.05))
    assert np.array_equal(hard[:, 140:], image[:, 140:])
    across = np.abs(soft.astype(int) - image).mean(axis=(0, 2))
    assert across[:100].mean() > across[125:131].mean() > across[160:].mean()


def warping_error(shown: Sequence[Image], frames: Sequence[Image]) -> float:
    """Returns the RMS difference between each image and the previous one, warped by a different optical flow (medium
    preset, both ways, without occlusions): Lai et al. 2018, "Learning blind video temporal consistency"."""
    flow, errors = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), []
    greys = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    for n in range(1, len(shown)):
        there, back = (flow.calc(*pair, None) for pair in ((greys[n], greys[n - 1]), (greys[n - 1], greys[n])))  # type: ignore[call-overload]
        height, width = greys[n].shape
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
        predicted, returned = (cv2.remap(one, grid + there, None, cv2.INTER_LINEAR) for one in (shown[n - 1], back))  # type: ignore[call-overload]
        seen = ((there + returned) ** 2).sum(axis=2) < 1
        errors.append(np.sqrt(((shown[n].astype(float) - predicted) ** 2).mean(axis=2)[seen].mean()))
    return float(np.mean(errors))


def test_paint_does_not_flicker(opened: Any) -> None:
    """At most half the flicker of painting each frame independently, with a static and with a moving camera."""
    for name in ("single_face.mp4", "bikes.mp4"):
        with av.open(str(media.path(name))) as container:
            frames = [to_bgr(picture) for _, picture in zip(range(10), container.decode(video=0), strict=False)]
        small = [np.asarray(cv2.resize(frame, (320, 176)), np.uint8) for frame in frames]
        shown = {}
        for smoothing in (0.0, 1.0):
            plugin = opened(style="mosaic", smoothing=smoothing, max_lines=176, min_lines=176)
            shown[smoothing] = [painted(plugin, one, still=False, captured_at=n / 25) for n, one in enumerate(small)]
        assert warping_error(shown[1.0][2:], small[2:]) <= 0.5 * warping_error(shown[0.0][2:], small[2:]), name


def test_enlarged_paint_has_the_pictures_edges() -> None:
    """Sharper at an edge than an image that is only enlarged."""
    source = np.zeros((160, 320, 3), np.uint8)
    source[:, 161:] = 200
    small = np.asarray(cv2.resize(source, (64, 32), interpolation=cv2.INTER_AREA), np.uint8)
    paint = np.asarray(255 - small, np.float32)
    ours = enlarged(paint, source, np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8))
    plain = cv2.resize(paint, (320, 160))
    truth = 255.0 - source
    assert np.abs(ours - truth)[:, 150:172].mean() < 0.6 * np.abs(plain - truth)[:, 150:172].mean()


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({"style": "stary"}, ("style",), 'unknown style "stary"; did you mean "starry"?'),
        ({"style": ["starry", "cubism"]}, ("style", 1), 'unknown style "cubism"'),
        ({"style": {"delft": 1, "nope": 2}}, ("style",), 'unknown style "nope"'),
        ({"style": []}, ("style",), "the list is empty"),
        ({"model": "style27"}, ("model",), 'unknown model "style27"'),
    ],
)
def test_problems_name_the_choices(options: dict[str, Any], path: tuple[object, ...], message: str) -> None:
    problem = StyleConfig.model_validate(options).problems(Catalog.load())[0]
    assert problem.path == path
    assert message in problem.message
    assert problem.hint


@pytest.mark.parametrize("white", [255, 1])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_a_network_of_ones_own_paints_its_one_style(white: int, colour: str, opened: Any, tmp_path: Path) -> None:
    """This model returns twice its input."""
    file = write_double(tmp_path / "twice.onnx", ("batch", 3, "height", "width"))
    plugin = opened(model={"file": file, "white": white, "colour": colour}, smoothing=0)
    image = np.full((128, 128, 3), (10, 50, 100), np.uint8)
    picture = plugin.process([Frame.of(image, still=True)], [Results()])[0].get(FrameOverride)
    assert picture is not None
    assert np.abs(picture.image.astype(int) - (20, 100, 200)).max() <= 1


def test_a_network_of_one_size_paints_pictures_of_any(opened: Any, tmp_path: Path) -> None:
    file = write_double(tmp_path / "twice.onnx", (1, 3, 64, 64))
    image = np.full((90, 160, 3), (10, 50, 100), np.uint8)
    picture = opened(model={"file": file}).process([Frame.of(image)], [Results()])[0].get(FrameOverride)
    assert picture is not None
    assert np.abs(picture.image.astype(int) - (20, 100, 200)).max() <= 2


def test_a_network_with_an_input_of_fp16_paints(opened: Any, tmp_path: Path) -> None:
    file = write_double(tmp_path / "twice.onnx", ("batch", 3, "height", "width"))
    model = onnx.load(file)
    for end in (*model.graph.input, *model.graph.output):
        end.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, str(file))
    image = np.full((128, 128, 3), (10, 50, 100), np.uint8)
    picture = (
        opened(model={"file": file}, smoothing=0)
        .process([Frame.of(image, still=True)], [Results()])[0]
        .get(FrameOverride)
    )
    assert picture is not None
    assert np.abs(picture.image.astype(int) - (20, 100, 200)).max() <= 1


def own_problems(file: Path, **options: Any) -> list[str]:
    config = StyleConfig.model_validate({"model": {"file": file}, **options})
    return [f"{'.'.join(map(str, problem.path))}: {problem.message}" for problem in config.problems(Catalog.load())]


def test_files_that_are_no_style_network_are_reported(tmp_path: Path) -> None:
    (tmp_path / "page.onnx").write_text("<html>")
    (missing,), (page,) = own_problems(tmp_path / "none.onnx"), own_problems(tmp_path / "page.onnx")
    assert missing.startswith("model.file: ")
    assert page.startswith("model.file: ")
    classifier = write_shaped(tmp_path / "classes.onnx", {"image": (1, 3, 8, 8)}, {"scores": (1, 1000)})
    assert "and the output scores [1, 1000]; a style model has one image" in own_problems(classifier)[0]
    twice = write_double(tmp_path / "twice.onnx")
    assert own_problems(twice) == []
    assert own_problems(twice, style="starry") == ["style: a model of your own has only one style"]


def test_options_that_name_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="is empty: set classes, faces or polygons"):
        StyleConfig.model_validate({"where": {}})


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({"min_lines": 400}, ("min_lines",), "min_lines (400) is greater than max_lines (360)"),
        ({"max_lines": 100}, ("max_lines",), "min_lines (128) is greater than max_lines (100)"),
        ({"style": ["delft", "starry"], "interval": 0}, ("interval",), "is zero"),
        (
            {"style": ["delft", "starry"], "interval": "1s", "fade": "3s"},
            ("fade",),
            "fade (3 s) is greater than interval",
        ),
    ],
)
def test_options_in_the_wrong_order_are_refused(options: dict[str, Any], path: tuple[str], message: str) -> None:
    (problem,) = StyleConfig.model_validate(options).problems(Catalog.load())
    assert problem.path == path
    assert problem.message.startswith(message)


@pytest.mark.parametrize("options", [{"interval": 0}, {"interval": "1s", "style": ["delft", "starry"]}])
def test_an_order_that_has_no_effect_is_accepted(options: dict[str, Any]) -> None:
    assert StyleConfig.model_validate(options).problems(Catalog.load()) == []


def test_a_network_that_is_no_style_network_is_refused() -> None:
    (problem,) = StyleConfig(model="yunet").problems(Catalog.load())
    assert (problem.path, problem.message) == (("model",), '"yunet" is a face-detector model, not a style model')
    assert "known style models: style26, mosaic-9, candy-9" in problem.hint
    with pytest.raises(PluginError, match="'yunet' is a face-detector model, not a style model"):
        Stylist(StyleConfig(model="yunet")).open(Context())


def test_a_published_network_of_one_style_takes_no_style() -> None:
    assert StyleConfig(model="candy-9").problems(Catalog.load()) == []
    (problem,) = StyleConfig(model="candy-9", style="starry").problems(Catalog.load())
    assert (problem.path, problem.message, problem.hint) == (("style",), '"candy-9" has only one style', "remove style")


@pytest.mark.parametrize("size", [(64, 64), (1280, 720)])
def test_paint_that_overshoots_is_the_brightest_and_no_other_colour(
    size: tuple[int, int], opened: Any, tmp_path: Path
) -> None:
    file = write_double(tmp_path / "twice.onnx", ("batch", 3, "height", "width"))
    image = np.full((size[1], size[0], 3), (140, 200, 255), np.uint8)
    assert painted(opened(model={"file": file}), image).min() >= 254


class Single(Context):
    """A context with a single-style model under the name of a published one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        (name,) = choice
        assert isinstance(name, str)
        return Engine(Catalog.load().get(name), OnnxRuntimeSession(self.path, threads=1), "for the test")


def test_a_published_network_of_one_style_paints_at_its_own_size(tmp_path: Path) -> None:
    """Input and output are 0-255; the file has a fixed size."""
    plugin = Stylist(StyleConfig(model="mosaic-9"))
    plugin.open(Single(write_double(tmp_path / "twice.onnx", (1, 3, 224, 224), "input1", "output1")))
    picture = painted(plugin, np.full((90, 160, 3), (10, 50, 100), np.uint8))
    assert np.abs(picture.astype(int) - (20, 100, 200)).max() <= 2
    plugin.close()


def taught(folder: Path, *names: str) -> Catalog:
    """Returns the catalogue with custom styles, each a copy of a published one."""
    layers = read(stored("style26"))
    for row, _ in enumerate(names, len(STYLES)):
        layers = tuple(layer.with_style(row, layer.scale[0], layer.shift[0]) for layer in layers)
    file = file_of("made", folder)
    write(layers, file, "for the test")
    origin = CustomModelMetadata("style26", "", "more styles", "", "2026-01-01T00:00:00+00:00", (*STYLES, *names))
    put(Catalog.load().get("style26"), WITH_OWN, file, origin, folder)
    return with_custom_models(Catalog.load(), folder)


def test_a_style_that_was_learnt_here_is_named_like_the_others(tmp_path: Path) -> None:
    catalog = taught(tmp_path, "mine")
    config = StyleConfig.model_validate({"style": ["mine", {"mine": 1, "starry": 1}]})
    assert config.problems(catalog) == []
    own = catalog.get(WITH_OWN)
    plugin = Stylist(config)
    assert own.path is not None
    engine = Engine(own, OnnxRuntimeSession(own.path, threads=2), "for the test")
    asked: list[object] = []
    with_it = Context()
    with_it.engine = lambda choice: (asked.append(choice), engine)[1]  # type: ignore[method-assign, func-returns-value]
    plugin.open(with_it)
    assert asked == [[WITH_OWN]]
    published = Stylist(StyleConfig(style=STYLES[0]))
    published.open(Context())
    assert apart(painted(plugin, still()), painted(published, still())) < 0.1
    plugin.close()
    published.close()


def test_a_style_that_nobody_learnt_is_reported_with_all_there_are(tmp_path: Path) -> None:
    (without,) = StyleConfig(style="mine").problems(Catalog.load())
    assert without.message == 'unknown style "mine"'
    (near,) = StyleConfig(style="myne").problems(taught(tmp_path, "mine"))
    assert near.message == 'unknown style "myne"; did you mean "mine"?'
    assert near.hint.endswith("mosaic, mine")


def test_live_options_apply_to_the_next_frame(opened: Any, tmp_path: Path) -> None:
    file = write_double(tmp_path / "twice.onnx", ("batch", 3, "height", "width"))
    plugin = opened(model={"file": str(file)})
    image = np.full((64, 64, 3), 50, np.uint8)
    assert painted(plugin, image).max() > 90
    plugin.reconfigure(plugin.config.model_copy(update={"strength": 0.0}))
    assert np.array_equal(painted(plugin, image), image)
    assert "strength" in StyleConfig.live_options
