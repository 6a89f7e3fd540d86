"""What is done to a camera is noticed; what only happens before it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import av
import cv2
import numpy as np
import pytest

from sightd.daemon.capture.picture import to_bgr
from sightd.plugins.api import Event, EventRef, Events, Frame, Image, Results
from sightd.plugins.configuration.declarations import Declarations
from sightd.plugins.tamper.plugin import Tamper, TamperConfig, Tampering
from sightd.plugins.testing import check_plugin
from tests.support import media

pytestmark = pytest.mark.computing

WIDTH, HEIGHT = 320, 180
LEARN, BEGIN, END, OVER = 8.0, 12.0, 24.0, 34.0
"""When the view is learnt (s), and when something is done to the camera; what lasts for 5 s is reported."""
OPTIONS = {"learn": "8s", "after": "5s", "clear_after": "2s", "accept_after": None}
Change = Callable[[Image, float], Image]
RANDOM = np.random.default_rng(1)
NOISE = RANDOM.normal(0, 1, (2 * HEIGHT, 2 * WIDTH, 1)).astype(np.float32)


@lru_cache
def street() -> Image:
    """A view with edges of all sizes and contrasts."""
    random, image = np.random.default_rng(2), np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for _ in range(90):
        x, y = int(random.integers(0, WIDTH)), int(random.integers(0, HEIGHT))
        width, height = (int(random.integers(4, 60)) for _ in range(2))
        cv2.rectangle(image, (x, y), (x + width, y + height), random.integers(20, 235, 3).tolist(), -1)
    return image


def noisy(image: Image, deviation: float = 2.0) -> Image:
    y, x = RANDOM.integers(0, (HEIGHT, WIDTH)).tolist()
    noise = NOISE[y : y + HEIGHT, x : x + WIDTH]
    return np.asarray(np.clip(image + np.float32(deviation) * noise, 0, 255), np.uint8)


def passers(image: Image, at: float) -> Image:
    """Two people walk through the view all the time."""
    after = image.copy()
    for speed, y, height in ((17, 60, 50), (-23, 90, 70)):
        x = int(speed * at) % WIDTH
        cv2.rectangle(after, (x, y), (x + 18, y + height), (60, 40, 90), -1)
    return after


class Watched:
    """A camera that is looked at once a second, and its events with the wall times of their frames."""

    def __init__(self, **options: object) -> None:
        self.tamper = Tamper(TamperConfig.model_validate({**OPTIONS, **options}))
        self.declared = Declarations.of(Tamper)
        self.events: list[tuple[float, Event]] = []
        self.states: list[str] = []

    def look(self, image: Image, at: float) -> None:
        frame = Frame.of(image, captured_at=at, wall_time=1.7e9 + at)
        [results] = self.tamper.process([frame], [Results()])
        self.events += [(frame.wall_time, event) for event in self.declared.events(results)]
        found = results.get(Tampering)
        assert found is not None
        form = found.to_json(results, None)["tamper"]  # type: ignore[arg-type]
        assert isinstance(form, dict)
        self.states.append(str(form["state"]))

    def watch(self, change: Change, until: float = OVER, begin: float = 0.0) -> Watched:
        """Shows the street; from BEGIN to END it is changed."""
        for at in np.arange(begin, until, 1.0).tolist():
            image = passers(street(), at)
            self.look(noisy(change(image, at) if BEGIN <= at < END else image), at)
        return self

    @property
    def told(self) -> list[str]:
        return [f"{event.phase} {event.facts['what']}" for _, event in self.events]


@lru_cache
def hand() -> Image:
    """Another picture, out of focus."""
    return np.asarray(cv2.GaussianBlur(street()[::-1, ::-1], (0, 0), 14), np.uint8)


def shifted(share: float) -> Change:
    return lambda image, at: np.roll(image, round(share * WIDTH), axis=1)


def turned(image: Image, at: float) -> Image:
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 8, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.uint8)


def blurred(image: Image, at: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 3), np.uint8)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param(lambda image, at: np.full_like(image, 6), "covered", id="a cap on the lens"),
        pytest.param(lambda image, at: np.full_like(image, 140), "covered", id="a bag over the camera"),
        pytest.param(lambda image, at: hand(), "covered", id="a hand before the lens"),
        pytest.param(blurred, "defocused", id="the lens is turned"),
        pytest.param(shifted(0.05), "moved", id="the camera is pushed a little"),
        pytest.param(turned, "moved", id="the camera hangs crooked"),
        pytest.param(lambda image, at: image[::-1, ::-1], "moved", id="the camera shows something else"),
    ],
)
def test_what_is_done_to_a_camera_is_reported_with_its_end(change: Change, what: str) -> None:
    yard = Watched().watch(change)
    assert yard.told == [f"began {what}", f"ended {what}"]
    (began_at, began), (ended_at, ended) = yard.events
    assert began_at - 1.7e9 == BEGIN + 5
    assert ended_at - 1.7e9 == END + 2
    assert (ended.facts["seconds"], ended.facts["reason"]) == (END - BEGIN, "restored")
    assert ended.about == EventRef("camera.tampered", began_at, began.facts)
    assert yard.states[-1] == "usual"


def test_how_far_a_camera_was_pushed_is_reported_if_it_is_known() -> None:
    pushed, other = Watched().watch(shifted(0.05)), Watched().watch(lambda image, at: image[::-1, ::-1])
    facts = pushed.events[0][1].facts
    assert facts["right_percent"] == pytest.approx(5, abs=1.3), "to a cell of the grid"
    assert facts["down_percent"] == pytest.approx(0, abs=1.3)
    assert set(other.events[0][1].facts) == {"what"}


SPOT = np.exp(-(np.linspace(-1, 1, HEIGHT)[:, None] ** 2 + np.linspace(-1, 1, WIDTH) ** 2)).astype(np.float32)


def infrared(image: Image, at: float) -> Image:
    """Other reflectances, a bright spot in the middle, darkness around it, and noise."""
    blue, green, red = (image[..., channel].astype(np.float32) for channel in range(3))
    grey = (0.8 * red + 0.3 * (255 - blue) - 0.1 * green) * SPOT
    return noisy(np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2), 6)


def raining(image: Image, at: float) -> Image:
    after = image.copy()
    for x, y, length in RANDOM.integers((0, 0, 5), (WIDTH, HEIGHT, 20), (150, 3)).tolist():
        cv2.line(after, (x, y), (x + 2, y + length), (190, 190, 190), 1)
    return after


def lorry(image: Image, at: float) -> Image:
    """Its side fills the whole view for four seconds."""
    after = image.copy()
    left = round(WIDTH * ((at - BEGIN) / 2 - 2))
    after[:, max(left, 0) : max(left + 2 * WIDTH, 0)] = (150, 160, 150)
    return after


def crowd(image: Image, at: float) -> Image:
    """People everywhere, each on a way of their own."""
    after, random = image.copy(), np.random.default_rng(3)
    for x, y, right, width, height, grey in random.integers(
        (0, 0, -25, 10, 25, 0), (WIDTH, HEIGHT, 26, 25, 60, 255), (140, 6)
    ):
        left = int((x + right * at) % WIDTH)
        cv2.rectangle(after, (left, int(y)), (left + int(width), int(y + height)), (int(grey),) * 3, -1)
    return after


def swaying(image: Image, at: float) -> Image:
    return np.roll(image, round(3 * np.sin(5 * at)), axis=1)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image, at: image // 10, id="lights out"),
        pytest.param(lambda image, at: np.clip(image * 2.2 + 30, 0, 255).astype(np.uint8), id="lights on"),
        pytest.param(lambda image, at: (image * max(1 - (at - BEGIN) / 11, 0.1)).astype(np.uint8), id="dusk"),
        pytest.param(infrared, id="infrared"),
        pytest.param(raining, id="rain"),
        pytest.param(lorry, id="a lorry passes"),
        pytest.param(crowd, id="a crowd passes"),
        pytest.param(swaying, id="a mast sways"),
        pytest.param(lambda image, at: noisy(image, 14), id="noise"),
        pytest.param(
            lambda image, at: np.where(np.arange(WIDTH)[:, None] < 200, 90, image).astype(np.uint8), id="a van parks"
        ),
        pytest.param(lambda image, at: hand() if at < BEGIN + 4 else image, id="a bird on the camera"),
    ],
)
def test_what_happens_before_a_camera_is_not_reported(change: Change) -> None:
    assert not Watched().watch(change).events


def test_nothing_is_reported_while_the_view_is_learnt_and_a_covered_camera_is_learnt_once_it_is_free() -> None:
    covered = Watched(learn="30s").watch(lambda image, at: np.full_like(image, 6))
    assert not covered.events
    assert set(covered.states) == {"learning"}
    begun = Watched()
    for at in np.arange(0, BEGIN, 1.0).tolist():
        begun.look(noisy(np.full((HEIGHT, WIDTH, 3), 6, np.uint8)), at)
    begun.watch(lambda image, at: image, begin=BEGIN)
    assert not begun.events
    assert begun.states[-1] == "usual"


def test_what_hides_the_view_at_the_start_is_not_its_usual_look() -> None:
    """A bus stands before the camera while the daemon starts, and leaves."""
    yard = Watched()
    for at in np.arange(0, 6, 1.0).tolist():
        yard.look(noisy(street()[::-1]), at)
    assert not yard.watch(lambda image, at: image, begin=6).events


def test_a_new_view_that_stays_becomes_the_usual_one() -> None:
    yard = Watched(accept_after="6s").watch(lambda image, at: np.asarray(image[::-1]), until=END)
    assert yard.told == ["began moved", "ended moved"]
    assert yard.events[1][1].facts["reason"] == "accepted"
    assert yard.states[-1] == "learning"


def test_the_usual_view_follows_what_changes_slowly() -> None:
    """Within 15 minutes, everything in the view has become something else: shadows, snow, a car park that fills."""
    yard = Watched()
    for at in np.arange(0, 900, 5.0).tolist():
        share = at / 900
        yard.look(cv2.addWeighted(street(), 1 - share, street()[::-1].copy(), share, 0).astype(np.uint8), at)
    assert not yard.events
    assert yard.states[-1] == "usual"


def test_a_camera_that_always_moves_is_never_learnt() -> None:
    yard = Watched()
    for at in np.arange(0, 20, 1.0).tolist():
        yard.look(np.roll(street(), round(13 * at), axis=1), at)
    assert not yard.events
    assert set(yard.states) == {"learning"}


def test_a_clock_that_is_set_back_and_an_outage_change_nothing() -> None:
    yard = Watched().watch(lambda image, at: image, until=BEGIN)
    for at in (BEGIN, 3.0, 500.0, 501.0):
        yard.look(noisy(passers(street(), at)), at)
    assert not yard.events
    assert yard.states[-1] == "usual"


def test_predictions_photographs_and_a_forgotten_camera() -> None:
    yard = Watched().watch(lambda image, at: np.full_like(image, 6), until=END)
    frame = Frame.of(street(), captured_at=END)
    predicted = yard.tamper.predict(frame, Results())
    found = predicted.get(Tampering)
    assert found is not None
    assert found.tampered is not None
    assert Events not in predicted
    [still] = yard.tamper.process([Frame.of(street(), still=True)], [Results()])
    assert not len(still)
    yard.tamper.forget("camera")
    assert not len(yard.tamper.predict(frame, Results()))


def film() -> Iterator[Image]:
    with av.open(str(media.path("single_face.mp4"))) as container:
        for picture in container.decode(video=0):
            image = to_bgr(picture)
            yield np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def test_on_a_film_only_what_is_done_to_the_camera_is_noticed() -> None:
    """A person who moves before a camera at rest, to and fro."""
    images = list(film())[::4]
    images += images[::-1]
    changes: Sequence[tuple[Change, list[str]]] = (
        (lambda image, at: image, []),
        (lambda image, at: np.full_like(image, 30), ["began covered", "ended covered"]),
        (
            lambda image, at: np.asarray(cv2.GaussianBlur(image, (0, 0), 4), np.uint8),
            ["began defocused", "ended defocused"],
        ),
        (lambda image, at: np.roll(image, image.shape[1] // 10, axis=1), ["began moved", "ended moved"]),
    )
    for change, expected in changes:
        hall = Watched()
        for number in range(30):
            at = float(number)
            image = images[number % len(images)]
            hall.look(change(image, at) if BEGIN <= at < 20 else image, at)
        assert hall.told == expected


def test_it_fulfils_the_contract() -> None:
    report = check_plugin(Tamper)
    assert report.ok, report
