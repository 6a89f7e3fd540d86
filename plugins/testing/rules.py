"""The rules of the contract: what a plug-in declares, how it opens and closes, and how it processes frames."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType

from pydantic import ValidationError

from sightd.engines.errors import EngineError
from sightd.plugins.api import (
    API_VERSION,
    Event,
    Events,
    Frame,
    JsonOptions,
    Plugin,
    PluginConfig,
    PluginError,
    Results,
    merged_json,
)
from sightd.plugins.configuration.declarations import Declarations, UndeclaredError
from sightd.plugins.testing.stubs import BlankCanvas, Scene, StubContext, no_network
from sightd.plugins.testing.subject import BrokenRuleError, Rule, Subject, columns, same, verify, verify_json


def _is_a_plugin(subject: Subject) -> None:
    if not (isinstance(subject.plugin, type) and issubclass(subject.plugin, Plugin)):
        raise BrokenRuleError("is not a class derived from sightd.plugins.api.Plugin")
    if subject.plugin.api_version != API_VERSION:
        raise BrokenRuleError(f"api_version is {subject.plugin.api_version}, this sightd has {API_VERSION}")


def _has_a_description(subject: Subject) -> None:
    if not (subject.plugin.__dict__.get("__doc__") or "").strip():
        raise BrokenRuleError("the class has no docstring; its first line is shown by `sightd plugins list`")


def _describes_its_options(subject: Subject) -> None:
    config = subject.plugin.Config
    if not (isinstance(config, type) and issubclass(config, PluginConfig)):
        raise BrokenRuleError("Config is not derived from sightd.plugins.api.PluginConfig")
    if config.model_config.get("extra") != "forbid":
        raise BrokenRuleError("Config accepts options that it does not know; leave `extra` at forbid")
    stale = [
        name
        for name, current in config.renamed_options.items()
        if name in config.model_fields or current not in config.model_fields
    ]
    if stale:
        raise BrokenRuleError(
            f"renamed_options: {', '.join(stale)} must lead from an option that is gone to a current one"
        )
    bare = [name for name, field in config.model_fields.items() if not field.description]
    if bare:
        raise BrokenRuleError(f"no description for {', '.join(bare)}; write Field(..., description=...)")


def _declares_needs_and_gives(subject: Subject) -> None:
    for name in ("requires", "uses", "produces"):
        kinds = getattr(subject.plugin, name)
        if not isinstance(kinds, frozenset) or not all(isinstance(kind, type) for kind in kinds):
            raise BrokenRuleError(f"{name} is not a frozenset of result types")


def _takes_its_options(subject: Subject) -> None:
    try:
        subject.config()
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False))
        raise BrokenRuleError("; ".join(faults)) from None


def _opens_and_closes(subject: Subject) -> None:
    for _ in range(2):
        with subject.opened():
            pass


def _closes_after_failed_open(subject: Subject) -> None:
    instance = subject.plugin(subject.config())
    try:
        instance.open(StubContext(subject.plugin.__name__, no_network))
    except Exception as error:  # noqa: BLE001 - any exception of a third-party plug-in is to be judged
        instance.close()
        _verify_failure(error)
    else:
        instance.close()


def _verify_failure(error: Exception) -> None:
    if not isinstance(error, (PluginError, EngineError)):
        raise BrokenRuleError(
            f"open raised {type(error).__name__} when no model was available; it must raise PluginError or EngineError"
        )


def _declares_counters_and_events(subject: Subject) -> None:
    try:
        Declarations.of(subject.plugin)
    except PluginError as error:
        raise BrokenRuleError(str(error)) from None


DECLARATION: dict[str, Rule] = {
    "has the current API version": _is_a_plugin,
    "has a description": _has_a_description,
    "describes its options": _describes_its_options,
    "declares what it requires and produces": _declares_needs_and_gives,
    "declares its metrics and events": _declares_counters_and_events,
    "accepts the given options": _takes_its_options,
}

OPENING: dict[str, Rule] = {
    "can be opened and closed repeatedly": _opens_and_closes,
    "can be closed after a failed open": _closes_after_failed_open,
}


_OUTSIDE = (type, ModuleType, FunctionType, BuiltinFunctionType, FrameType, threading.Thread)
"""Types not followed: they lead from an object into the program as a whole."""


def reachable(root: object, kinds: tuple[type, ...]) -> Iterator[object]:
    """Yields every object of those kinds reachable from `root` by references, without following the program's code."""
    seen = {id(root)}
    waiting = [root]
    while waiting:
        held = waiting.pop()
        # The collector skips the keys of a dictionary whose keys are all strings.
        keys = list(held) if isinstance(held, dict) else []
        for item in [*gc.get_referents(held), *keys]:
            if id(item) in seen or isinstance(item, _OUTSIDE):
                continue
            seen.add(id(item))
            if isinstance(item, kinds):
                yield item
            waiting.append(item)


_CARRY_LIMIT = 0.001
"""Limit in s for `predict`; the fastest of several calls counts."""
_FRAMES = range(6)


def _gives_sound_results(subject: Subject) -> None:
    scene = Scene()
    with subject.opened() as instance:
        for index in _FRAMES:
            frame, given = scene.frame(index), subject.given(scene, index)
            verify(subject.one(instance, frame, given), given, frame, subject.plugin.produces)


def _copes_with_any_size(subject: Subject) -> None:
    with subject.opened() as instance:
        for size in ((64, 48), (48, 200), (1280, 720), (641, 479)):
            scene = Scene(size=size, start=1000.0 + size[0])
            frame, given = scene.frame(0), subject.given(scene, 0)
            verify(subject.one(instance, frame, given), given, frame, subject.plugin.produces)
            instance.forget(scene.camera)


def _copes_with_nothing_found(subject: Subject) -> None:
    scene = Scene(boxes=0)
    with subject.opened() as instance:
        for index in _FRAMES:
            frame, given = scene.frame(index), subject.given(scene, index)
            verify(subject.one(instance, frame, given), given, frame, subject.plugin.produces)
            verify(subject.one(instance, scene.frame(index), Results()), Results(), frame, subject.plugin.produces)


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
            instance.predict(frame, given)
            instance.draw(BlankCanvas(scene.size), frame, given.merged(found))
            if (frame.host() != scene.image(index)).any():
                raise BrokenRuleError("writes into the frame, which others read")
            after = [column for item in given for _, column in columns(item)]
            if any((old != new).any() for old, new in zip(before, after, strict=True)):
                raise BrokenRuleError("writes into the results of earlier plug-ins")


def _predicts_without_effect(subject: Subject) -> None:
    scene = Scene()
    with subject.opened() as predicted, subject.opened() as plain:
        for index in _FRAMES:
            expected = subject.run(plain, scene, [index])[0]
            if not same(expected, subject.run(predicted, scene, [index])[0]):
                raise BrokenRuleError("predict changes what process finds later")
            for ahead in (1, 2, 30):
                frame, given = scene.frame(index + ahead), subject.given(scene, index + ahead)
                verify(predicted.predict(frame, given), Results(), frame, subject.plugin.produces)


def _predicts_cheaply(subject: Subject) -> None:
    scene = Scene()
    with subject.opened() as instance:
        subject.run(instance, scene, _FRAMES)
        frame, given = scene.frame(len(_FRAMES)), subject.given(scene, len(_FRAMES))
        frame.host()
        best = min(_duration(lambda: instance.predict(frame, given)) for _ in range(20))
    if best > _CARRY_LIMIT:
        raise BrokenRuleError(f"predict takes {best * 1e3:.2f} ms; each shown frame waits for it, keep it under 1 ms")


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
        instance.predict(scene.frame(len(_FRAMES)), Results())
        instance.forget(scene.camera)
        for item in reachable(instance, (str, Frame)):
            if isinstance(item, Frame) or item == scene.camera:
                what = "a frame" if isinstance(item, Frame) else "its name"
                raise BrokenRuleError(f"still holds {what} after forget(camera): a memory leak")
        again = subject.run(instance, scene, [7])[0]
        verify(again, subject.given(scene, 7), scene.frame(7), subject.plugin.produces)


def _reports_what_it_declares(subject: Subject) -> None:
    scene, declarations = Scene(), Declarations.of(subject.plugin)
    with subject.opened() as instance:
        for index in _FRAMES:
            found = subject.one(instance, scene.frame(index), subject.given(scene, index))
            try:
                declarations.counts(found)
                declarations.measured(found)
                _declares_facts(subject, declarations.events(found))
            except UndeclaredError as error:
                raise BrokenRuleError(str(error)) from None
        if Events in instance.predict(scene.frame(len(_FRAMES)), subject.given(scene, len(_FRAMES))):
            raise BrokenRuleError("predict returns Events; only process may, for the frame on which they happen")


def _declares_facts(subject: Subject, events: Iterable[Event]) -> None:
    """A rule of the configuration that asks for a fact that is not declared would be refused."""
    declared = {spec.kind: spec.facts for spec in subject.plugin.events}
    for event in events:
        facts = declared[event.kind]
        if facts is not None and (others := sorted(event.facts.keys() - set(facts))):
            raise BrokenRuleError(f"{event.kind} has the fact {others[0]!r}, which its EventSpec does not declare")


def _has_a_json_form(subject: Subject) -> None:
    scene = Scene()
    with subject.opened() as instance:
        for index in _FRAMES:
            given = subject.given(scene, index)
            found = subject.one(instance, scene.frame(index), given)
            for item in found:
                verify_json(item, given.merged(found))
            _, problems = merged_json(given.merged(found), JsonOptions(embeddings=True))
            if problems:
                raise BrokenRuleError("; ".join(problems))


def _agrees_with_itself_in_parallel(subject: Subject) -> None:
    if not subject.plugin.parallel:
        return
    scenes = [Scene(f"camera-{seed}", seed=seed) for seed in range(4)]
    with subject.opened() as instance, ThreadPoolExecutor(len(scenes), "conformance") as threads:
        alone = [subject.run(instance, scene, _FRAMES) for scene in scenes]
        at_once = threads.map(lambda scene: subject.run(instance, scene, _FRAMES), scenes)
        for expected, found in zip(alone, at_once, strict=True):
            if not all(same(one, two) for one, two in zip(expected, found, strict=True)):
                raise BrokenRuleError("concurrent calls interfere with each other; leave `parallel` at False")


def _duration(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


BEHAVIOUR: dict[str, Rule] = {
    "returns valid results of declared types": _gives_sound_results,
    "counts and reports what it declares": _reports_what_it_declares,
    "has results that can be written as JSON": _has_a_json_form,
    "handles frames of any size": _copes_with_any_size,
    "handles frames without earlier detections": _copes_with_nothing_found,
    "keeps a batch in order and cameras apart": _keeps_a_batch_in_order,
    "does not modify frames and earlier results": _leaves_its_input_alone,
    "predict has no side effects": _predicts_without_effect,
    "predict is fast": _predicts_cheaply,
    "draws on any canvas": _draws,
    "forgets a camera": _forgets,
    "returns the same results in parallel": _agrees_with_itself_in_parallel,
}
