"""Images and objects get their classes, stable over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightd.engines.errors import ModelFileError
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Classification, Detections, Frame, Image, PluginError, Results, Tracks
from sightd.plugins.classifier import Classifier
from sightd.plugins.classifier.config import ClassifierConfig, OwnClassifier
from sightd.plugins.testing import check_plugin
from sightd.plugins.testing.stubs import BlankCanvas
from tests.support.faces import photo
from tests.support.networks import stored, write_colours, write_double, write_shaped
from tests.support.opening import opening

NAMES = ["red", "green", "blue"]
RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)
PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1)}


class Context:
    name = "classifier"

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        (wanted,) = choice
        model = Catalog.load().get(wanted) if isinstance(wanted, str) else wanted
        path = stored(model.name) if model.path is None else model.path
        return Engine(model, OnnxRuntimeSession(path, threads=2), "for the test")


Opened = Callable[..., Classifier]


@pytest.fixture
def opened() -> Iterator[Opened]:
    with opening(lambda options: Classifier(ClassifierConfig.model_validate(options)), Context()) as make:
        yield make


@pytest.fixture
def colours(tmp_path: Path) -> dict[str, Any]:
    """A model that distinguishes red, green and blue."""
    return {"file": write_colours(tmp_path / "colours.onnx"), "labels": NAMES, **PLAIN}


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> Image:
    return np.full((size[1], size[0], 3), colour, np.uint8)


def seen(plugin: Classifier, image: Image, at: float = 0.0, given: Results | None = None, **of: Any) -> Classification:
    frame = Frame.of(image, captured_at=at, **of)
    found = plugin.process([frame], [given or Results()])[0].get(Classification)
    assert found is not None
    return found


def best(found: Classification) -> list[str]:
    return [found.of_row(row)[0][0] for row in range(len(found))]


def followed(*ids: int, labels: tuple[str, ...] = ("car",)) -> Tracks:
    """Returns tracks of 20 x 20 pixels, side by side."""
    n = len(ids)
    rows = np.arange(n)
    return Tracks(
        boxes=np.stack((20 * rows, 0 * rows, 20 * rows + 20, 0 * rows + 20), 1).astype(np.float32),
        scores=np.ones(n, np.float32),
        class_ids=rows % len(labels),
        ids=np.array(ids, np.int64),
        ages=np.ones(n, np.float32),
        velocities=np.zeros((n, 2), np.float32),
        detection=rows[::-1].copy(),
        labels=labels,
    )


def side_by_side(*of: tuple[int, int, int]) -> Image:
    return np.concatenate([plain(colour, (20, 20)) for colour in of], axis=1)


@pytest.mark.parametrize(
    ("name", "classes", "least"),
    [
        ("chelsea.png", {"Egyptian cat", "tabby", "tiger cat"}, 0.6),
        ("coffee.png", {"espresso"}, 0.95),
        ("motorcycle_left.png", {"moped", "motor scooter"}, 0.5),
    ],
)
def test_photographs_are_recognised(name: str, classes: set[str], least: float, opened: Opened) -> None:
    (first, class_id, score), *_ = seen(opened(), photo(name), still=True).of_row(0)
    assert first in classes
    assert Catalog.load().get("mobilenet-v2").labels[class_id] == first
    assert score > least


def test_scores_are_probabilities_of_the_whole_picture(opened: Opened, colours: dict[str, Any]) -> None:
    found = seen(opened(model=colours, top=3), plain(GREEN))
    assert (found.tracks.tolist(), found.detection.tolist(), found.boxes.tolist()) == ([-1], [-1], [[0, 0, 64, 48]])
    expected = np.exp([4, 0, 0]) / np.exp([4, 0, 0]).sum()
    np.testing.assert_allclose(found.scores[0], expected, rtol=1e-4)
    assert found.of_row(0)[0][:2] == ("green", 1)


def test_a_network_that_ends_in_probabilities_is_taken_at_its_word(opened: Opened, tmp_path: Path) -> None:
    for last, score in (("Softmax", np.exp(4) / (np.exp(4) + 2)), ("Sigmoid", 1 / (1 + np.exp(-4)))):
        model = {"file": write_colours(tmp_path / f"{last}.onnx", last=last), "labels": NAMES, **PLAIN}
        assert seen(opened(model=model), plain(RED)).scores[0, 0] == pytest.approx(score, rel=1e-4)


def test_the_middle_is_looked_at_or_all(opened: Opened, colours: dict[str, Any]) -> None:
    image = plain(RED, (400, 100))
    image[:, 150:250] = GREEN
    assert best(seen(opened(model=colours), image)) == ["green"]
    assert best(seen(opened(model=colours, area="whole"), image)) == ["red"]


def test_one_odd_frame_does_not_change_the_answer_and_a_lasting_change_does(
    opened: Opened, colours: dict[str, Any]
) -> None:
    plugin = opened(model=colours, smoothing_time="500ms")
    frames = [RED] * 10 + [BLUE] + [RED] * 5 + [BLUE] * 25
    answers = [best(seen(plugin, plain(colour), n / 25))[0] for n, colour in enumerate(frames)]
    assert set(answers[:16]) == {"red"}
    assert answers[-1] == "blue"
    at_once = opened(model=colours, smoothing_time="0s")
    assert [best(seen(at_once, plain(colour), n / 25))[0] for n, colour in enumerate((RED, BLUE))] == ["red", "blue"]


def test_photographs_know_nothing_of_each_other(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, smoothing_time="10s")
    found = [seen(plugin, plain(colour), n / 25, still=True) for n, colour in enumerate((RED, BLUE))]
    assert [best(one) for one in found] == [["red"], ["blue"]]


def test_another_size_or_a_long_pause_starts_over(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, smoothing_time="10s")
    seen(plugin, plain(RED), 1.0)
    assert best(seen(plugin, plain(BLUE), 1.1)) == ["red"]
    assert best(seen(plugin, plain(BLUE, (80, 60)), 1.2)) == ["blue"]
    assert best(seen(plugin, plain(RED, (80, 60)), 9.0)) == ["red"]


def test_each_track_has_its_own_answer(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, target="objects", margin=0)
    given = Results(followed(7, 3, 9), Detections.none())
    found = seen(plugin, side_by_side(RED, GREEN, BLUE), 1.0, given)
    assert best(found) == ["red", "green", "blue"]
    assert found.tracks.tolist() == [7, 3, 9]
    assert found.detection.tolist() == [2, 1, 0]
    moved = Results(followed(9, 7))
    predicted = plugin.predict(Frame.of(side_by_side(BLUE, RED, RED), captured_at=1.1), moved).get(Classification)
    assert predicted is not None
    assert best(predicted) == ["blue", "red"]
    np.testing.assert_array_equal(predicted.boxes, followed(9, 7).boxes)


def test_of_many_tracks_those_are_looked_at_whose_turn_it_is(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, target="objects", margin=0, max_objects=2)
    given, image = Results(followed(1, 2, 3, 4, 5)), side_by_side(RED, GREEN, BLUE, RED, GREEN)
    counts = [len(seen(plugin, image, n / 10, given)) for n in range(4)]
    assert counts == [2, 4, 5, 5]
    answers = seen(plugin, side_by_side(BLUE, BLUE, BLUE, BLUE, BLUE), 100.0, given)
    assert best(answers) == ["blue", "blue"], "what is too old is forgotten"


def test_only_objects_of_the_named_classes_are_looked_at(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, target="objects", classes=["Car"], margin=0)
    given = Results(followed(1, 2, 3, labels=("car", "person")))
    assert seen(plugin, side_by_side(RED, GREEN, BLUE), 0.0, given).tracks.tolist() == [1, 3]


def test_without_a_tracker_detections_are_looked_at_one_by_one(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, target="objects", margin=0, smoothing_time="10s")
    tracks = followed(1, 2)
    given = Results(Detections(tracks.boxes, tracks.scores, tracks.class_ids * 0, ("car",)))
    found = seen(plugin, side_by_side(RED, GREEN), 0.0, given)
    assert (best(found), found.tracks.tolist(), found.detection.tolist()) == (["red", "green"], [-1, -1], [0, 1])
    assert best(seen(plugin, side_by_side(GREEN, RED), 0.1, given)) == ["green", "red"]
    nothing = plugin.predict(Frame.of(side_by_side(RED, GREEN), captured_at=0.2), given).get(Classification)
    assert nothing is None or len(nothing) == 0


def detected(count: int) -> Results:
    tracks = followed(*range(count))
    return Results(Detections(tracks.boxes, tracks.scores, tracks.class_ids * 0, ("car",)))


def test_of_many_detections_all_are_looked_at_on_a_photograph_and_in_turns_on_a_film(
    opened: Opened, colours: dict[str, Any]
) -> None:
    plugin, image = opened(model=colours, target="objects", margin=0, max_objects=2), side_by_side(*[RED] * 5)
    assert seen(plugin, image, still=True, given=detected(5)).detection.tolist() == [0, 1, 2, 3, 4]
    rows = {row for n in range(5) for row in seen(plugin, image, n / 10, detected(5), seq=n).detection.tolist()}
    assert rows == {0, 1, 2, 3, 4}


def test_a_chain_in_which_nothing_finds_objects_is_reported_once(
    opened: Opened, colours: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    plugin = opened(model=colours, target="objects")
    for n in range(3):
        seen(plugin, plain(RED), n / 10)
    assert caplog.text.count("put a detector before it") == 1


def test_slow_looks_are_averaged_and_shown_until_the_next(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, smoothing_time="30s", max_fps=0.1)
    for at in (0.0, 10.0, 20.0):
        seen(plugin, plain(RED), at)
    assert best(seen(plugin, plain(BLUE), 30.0)) == ["red"]
    assert len(plugin.predict(Frame.of(plain(RED), captured_at=39.0), Results()))


def test_numbers_that_are_not_finite_are_a_fault_and_no_answer(opened: Opened, tmp_path: Path) -> None:
    """The model takes the logarithm of its scores."""
    model = {"file": write_colours(tmp_path / "log.onnx", last="Log"), "labels": NAMES, **PLAIN}
    with pytest.raises(PluginError, match="values that are not finite"):
        opened(model=model)
    with pytest.raises(ValueError, match="greater than 0"):
        OwnClassifier.model_validate({**model, "std": (1, 0, 1)})


def test_nothing_to_look_at_is_no_answer(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, target="objects")
    assert len(seen(plugin, plain(RED))) == 0
    assert len(seen(plugin, plain(RED), 0.1, Results(followed()))) == 0


def test_cameras_are_kept_apart_and_batches_in_order(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, smoothing_time="10s")
    cameras = [f"camera-{n}" for n in range(20)]
    colour = [(RED, GREEN, BLUE)[n % 3] for n in range(20)]
    for at in (0.0, 0.1):
        frames = [
            Frame.of(plain(one), camera=camera, captured_at=at) for camera, one in zip(cameras, colour, strict=True)
        ]
        found = plugin.process(frames, [Results()] * 20)
        answers = [best(one.get(Classification) or pytest.fail("no answer"))[0] for one in found]
        assert answers == [NAMES[n % 3] for n in range(20)]


def test_an_answer_about_the_picture_stands_for_a_second(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours)
    seen(plugin, plain(RED), 10.0)
    assert plugin.predict(Frame.of(plain(RED), captured_at=10.9), Results()).get(Classification) is not None
    assert not len(plugin.predict(Frame.of(plain(RED), captured_at=11.2), Results()))
    assert not len(plugin.predict(Frame.of(plain(RED, (80, 60)), captured_at=10.1), Results()))


def test_it_draws_what_is_likely_enough(opened: Opened, colours: dict[str, Any]) -> None:
    for least, drawn in ((0.2, True), (0.99, False)):
        plugin, canvas = opened(model=colours, min_score=least), BlankCanvas((320, 180))
        frame = Frame.of(plain(RED, (320, 180)))
        plugin.draw(canvas, frame, plugin.process([frame], [Results()])[0])
        rows = np.flatnonzero(canvas.image.any(axis=(1, 2)))
        assert bool(len(rows)) is drawn
        assert not drawn or rows.min() > 140, "at the lower edge"
    plugin.draw(canvas, frame, Results())


def test_objects_get_their_likeliest_class_below_their_box(opened: Opened, colours: dict[str, Any]) -> None:
    plugin, canvas = opened(model=colours, target="objects", margin=0), BlankCanvas((320, 180))
    frame = Frame.of(plain(GREEN, (320, 180)))
    given = Results(followed(1))
    plugin.draw(canvas, frame, given.merged(plugin.process([frame], [given])[0]))
    rows, columns = np.nonzero(canvas.image.any(axis=2))
    assert 8 <= rows.mean() <= 32
    assert columns.max() < 160


@pytest.mark.parametrize("target", ["frame", "objects"])
def test_it_keeps_to_the_contract(target: str, colours: dict[str, Any]) -> None:
    report = check_plugin(
        Classifier, {"model": colours, "target": target}, engine=lambda choice: Context().engine(choice)
    )
    assert report.ok, report


def problems(**options: Any) -> list[str]:
    config = ClassifierConfig.model_validate(options)
    return [f"{'.'.join(map(str, one.path))}: {one.message}; {one.hint}" for one in config.problems(Catalog.load())]


def test_what_is_no_classifier_is_reported(tmp_path: Path) -> None:
    assert problems() == []
    (known,) = problems(model="mobilenet")
    assert known.startswith(
        'model: unknown classifier "mobilenet"; did you mean "mobilenet-v2"?; known classifiers: mob'
    )
    (other,) = problems(model="yunet")
    assert 'unknown classifier "yunet"' in other
    (tmp_path / "page.onnx").write_text("<html>")
    boxes = write_shaped(tmp_path / "boxes.onnx", {"image": (1, 3, 8, 8)}, {"boxes": (1, 100, 4)})
    three = write_colours(tmp_path / "three.onnx")
    open_size = write_colours(tmp_path / "open.onnx", side="side")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"file": tmp_path / "none.onnx", "labels": NAMES}, "model.file: "),
        ({"file": tmp_path / "page.onnx", "labels": NAMES}, "model.file: "),
        ({"file": boxes, "labels": NAMES}, "has the output boxes [1, 100, 4]; a classifier has one score per class"),
        ({"file": three, "labels": NAMES[:2]}, "3 classes, but 2 labels are given"),
        ({"file": three, "labels": tmp_path / "none.txt"}, "model.labels: cannot read labels file"),
        ({"file": open_size, "labels": NAMES}, "whose size is not fixed"),
    ]
    for model, expected in cases:
        (told,) = problems(model=model)
        assert expected in told
    assert problems(model={"file": open_size, "labels": NAMES, "width": 8, "height": 8}) == []


def test_options_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="classes applies only to objects: add `target: objects`"):
        ClassifierConfig.model_validate({"classes": ["car"]})
    with pytest.raises(ValueError, match="both width and height, or neither"):
        ClassifierConfig.model_validate({"model": {"file": "a.onnx", "labels": NAMES, "width": 8}})


def test_a_network_of_another_form_is_refused_when_it_opens(opened: Opened, tmp_path: Path) -> None:
    twice = write_double(tmp_path / "twice.onnx")
    with pytest.raises(ModelFileError, match="a classifier has one score per class"):
        opened(model={"file": twice, "labels": NAMES})
    hidden = write_shaped(tmp_path / "hidden.onnx", {"image": ("n", 3, 8, 8)}, {"scores": ("n", "classes")})
    with pytest.raises((PluginError, ModelFileError), match="scores"):
        opened(model={"file": hidden, "labels": NAMES})


def test_answers_are_not_averaged_across_a_scene_cut(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, smoothing_time="5s")
    for n in range(10):
        before = seen(plugin, patterned(RED, 1), at=n / 25)
    same = seen(plugin, patterned(GREEN, 1), at=0.4)
    assert (best(before), best(same)) == (["red"], ["red"]), "one frame changes little"
    assert best(seen(plugin, patterned(GREEN, 2), at=0.44)) == ["green"]


def patterned(colour: tuple[int, int, int], seed: int) -> Image:
    """Returns an image of one colour, with a pattern of the scene `seed` in its brightness."""
    light = np.random.default_rng(seed).uniform(0.6, 1, (12, 16, 1)).repeat(8, 0).repeat(8, 1)
    return (light * colour).astype(np.uint8)


def test_live_options_apply_to_the_next_frame(opened: Opened, colours: dict[str, Any]) -> None:
    plugin = opened(model=colours, top=1)
    assert seen(plugin, plain(RED), still=True).class_ids.shape == (1, 1)
    plugin.reconfigure(plugin.config.model_copy(update={"top": 2, "min_score": 0.7}))
    found = seen(plugin, plain(RED), still=True)
    assert (found.class_ids.shape, found.shown_from) == ((1, 2), 0.7)
    assert {"top", "min_score"} <= ClassifierConfig.live_options
