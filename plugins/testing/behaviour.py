"""Rules for how an opened plug-in processes frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sightd.plugins.testing.canvas import BlankCanvas
from sightd.plugins.testing.reach import reachable
from sightd.plugins.testing.scene import Scene
from sightd.plugins.testing.subject import BrokenRuleError, Rule, Subject
from sightd.plugins.testing.verify import columns, same, verify
from sightd.plugins.types import Frame, Results

_CARRY_LIMIT = 0.001
"""Limit in s for `carry`; the fastest of several calls counts."""
_FRAMES = range(6)


def _gives_sound_results(subject: Subject) -> None:
    scene = Scene()
    with subject.opened() as instance:
        for index in _FRAMES:
            frame, given = scene.frame(index), subject.given(scene, index)
            verify(subject.one(instance, frame, given), given, frame, subject.plugin.gives)


def _copes_with_any_size(subject: Subject) -> None:
    with subject.opened() as instance:
        for size in ((64, 48), (48, 200), (1280, 720), (641, 479)):
            scene = Scene(size=size, start=1000.0 + size[0])
            frame, given = scene.frame(0), subject.given(scene, 0)
            verify(subject.one(instance, frame, given), given, frame, subject.plugin.gives)
            instance.forget(scene.camera)


def _copes_with_nothing_found(subject: Subject) -> None:
    scene = Scene(boxes=0)
    with subject.opened() as instance:
        for index in _FRAMES:
            frame, given = scene.frame(index), subject.given(scene, index)
            verify(subject.one(instance, frame, given), given, frame, subject.plugin.gives)
            verify(subject.one(instance, scene.frame(index), Results()), Results(), frame, subject.plugin.gives)


def _keeps_a_batch_in_order(subject: Subject) -> None:
    scenes = [Scene("first"), Scene("second", size=(320, 240), seed=1), Scene("third", size=(480, 270), seed=2)]
    with subject.opened() as together, subject.opened() as alone:
        for index in _FRAMES:
            batch = subject.batch(
                together, [scene.frame(index) for scene in scenes], [subject.given(scene, index) for scene in scenes]
            )
            for scene, found in zip(scenes, batch, strict=True):
                if not same(found, subject.run(alone, scene, [index])[0]):
                    raise BrokenRuleError(
                        f"a frame of {scene.camera} camera has different results in a batch and on its own: results "
                        "out of order, or cameras mixed up"
                    )


def _leaves_its_input_alone(subject: Subject) -> None:
    scene = Scene()
    with subject.opened() as instance:
        for index in _FRAMES:
            frame, given = scene.frame(index), subject.given(scene, index)
            before = [column.copy() for item in given for _, column in columns(item)]
            found = subject.one(instance, frame, given)
            instance.carry(frame, given)
            instance.draw(BlankCanvas(scene.size), frame, given.merged(found))
            if (frame.host() != scene.image(index)).any():
                raise BrokenRuleError("writes into the frame, which others read")
            after = [column for item in given for _, column in columns(item)]
            if any((old != new).any() for old, new in zip(before, after, strict=True)):
                raise BrokenRuleError("writes into the results of earlier plug-ins")


def _carries_without_effect(subject: Subject) -> None:
    scene = Scene()
    with subject.opened() as carried, subject.opened() as plain:
        for index in _FRAMES:
            expected = subject.run(plain, scene, [index])[0]
            if not same(expected, subject.run(carried, scene, [index])[0]):
                raise BrokenRuleError("carry changes what process finds later")
            for ahead in (1, 2, 30):
                frame, given = scene.frame(index + ahead), subject.given(scene, index + ahead)
                verify(carried.carry(frame, given), Results(), frame, subject.plugin.gives)


def _carries_cheaply(subject: Subject) -> None:
    scene = Scene()
    with subject.opened() as instance:
        subject.run(instance, scene, _FRAMES)
        frame, given = scene.frame(len(_FRAMES)), subject.given(scene, len(_FRAMES))
        frame.host()
        best = min(_duration(lambda: instance.carry(frame, given)) for _ in range(20))
    if best > _CARRY_LIMIT:
        raise BrokenRuleError(f"carry takes {best * 1e3:.2f} ms; each shown frame waits for it, keep it under 1 ms")


def _draws(subject: Subject) -> None:
    scene = Scene()
    canvas = BlankCanvas((scene.size[0] // 2, scene.size[1] // 2), source=scene.size)
    with subject.opened() as instance:
        for index in _FRAMES:
            frame, given = scene.frame(index), subject.given(scene, index)
            instance.draw(canvas, frame, given.merged(subject.one(instance, frame, given)))
            instance.draw(canvas, frame, Results())


def _forgets(subject: Subject) -> None:
    scene = Scene("a-camera-to-forget")
    with subject.opened() as instance:
        instance.forget(scene.camera)
        subject.run(instance, scene, _FRAMES)
        instance.carry(scene.frame(len(_FRAMES)), Results())
        instance.forget(scene.camera)
        for item in reachable(instance, (str, Frame)):
            if isinstance(item, Frame) or item == scene.camera:
                what = "a frame" if isinstance(item, Frame) else "its name"
                raise BrokenRuleError(f"still holds {what} after forget(camera): memory that grows for months")
        again = subject.run(instance, scene, [7])[0]
        verify(again, subject.given(scene, 7), scene.frame(7), subject.plugin.gives)


def _agrees_with_itself_in_parallel(subject: Subject) -> None:
    if not subject.plugin.parallel:
        return
    scenes = [Scene(f"camera-{seed}", seed=seed) for seed in range(4)]
    with subject.opened() as instance, ThreadPoolExecutor(len(scenes), "conformance") as threads:
        alone = [subject.run(instance, scene, _FRAMES) for scene in scenes]
        at_once = threads.map(lambda scene: subject.run(instance, scene, _FRAMES), scenes)
        for expected, found in zip(alone, at_once, strict=True):
            if not all(same(one, two) for one, two in zip(expected, found, strict=True)):
                raise BrokenRuleError("calls at the same time disturb each other; leave `parallel` at False")


def _duration(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


BEHAVIOUR: dict[str, Rule] = {
    "gives sound results, of declared types": _gives_sound_results,
    "copes with pictures of any size": _copes_with_any_size,
    "copes with nothing found before it": _copes_with_nothing_found,
    "keeps a batch in order and cameras apart": _keeps_a_batch_in_order,
    "does not modify frames and earlier results": _leaves_its_input_alone,
    "carries without lasting effect": _carries_without_effect,
    "carries cheaply": _carries_cheaply,
    "draws on any canvas": _draws,
    "forgets a camera": _forgets,
    "agrees with itself in parallel": _agrees_with_itself_in_parallel,
}
