"""What is recorded of each camera, and its checks: above all, that no recording shows what a camera's chain redacts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sightd.daemon.config.diff import chain_of, enabled
from sightd.daemon.config.model import Camera, CameraRecording, CameraSegments, Clips, Config, Segments
from sightd.daemon.config.problems import LocatedProblem, PathKey, Positions
from sightd.daemon.config.section import Section

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class CameraRules:
    """What is recorded of a camera; at least one of clips and segments."""

    clips: Clips | None
    segments: Segments | None
    max_memory: int
    audio: bool = False
    annotated: bool = False
    """Whether what viewers see is recorded, without sound, and not what is received."""

    @property
    def pre(self) -> float:
        """Seconds of packets that are needed from before an event."""
        return max(0.0 if one is None else one.pre for one in (self.clips, self.segments))


def rules_of(config: Config, camera: Camera) -> CameraRules | None:
    """Returns what is recorded of a camera; None if nothing is."""
    own, general = camera.recording or CameraRecording(), config.recording
    if not own.enabled or (general.clips is None and general.segments is None):
        return None
    differing = own.segments or CameraSegments()
    clips = None if general.clips is None else _changed(general.clips, own)
    segments = None if general.segments is None or not differing.enabled else _changed(general.segments, differing)
    if clips is None and segments is None:
        return None
    annotated = (own.source or general.source) == "annotated"
    audio = (general.audio if own.audio is None else own.audio) and not annotated
    return CameraRules(clips, segments, own.max_memory or general.max_memory, audio, annotated)


def _changed(general: S, own: Section) -> S:
    """Returns a copy of `general` with the options that `own` sets."""
    differing = {name: value for name, value in own if value is not None and name in type(general).model_fields}
    return general.model_copy(update=differing)


def allows_unredacted(config: Config, camera: Camera) -> bool:
    """Returns whether a camera whose chain redacts may be recorded as received."""
    own = None if camera.recording is None else camera.recording.allow_unredacted
    return config.recording.allow_unredacted if own is None else own


class RecordingChecks:
    """Finds cameras that cannot or must not be recorded. Options at or below a path in `lost` are unknown."""

    def __init__(
        self,
        config: Config,
        positions: Positions,
        redacting: Callable[[Sequence[str]], Sequence[str]],
        lost: Collection[PathKey] = frozenset(),
    ) -> None:
        """`redacting` returns which plug-ins of a chain redact."""
        self._config, self._positions, self._redacting, self._lost = config, positions, redacting, lost

    def problems(self) -> Iterator[LocatedProblem]:
        """Yields what keeps the daemon from starting."""
        for name, camera in self._known().items():
            yield from self._without_effect(("cameras", name, "recording"), camera.recording)
            if (rules := rules_of(self._config, camera)) is not None:
                yield from self._camera(name, camera, rules)

    def warnings(self) -> Iterator[LocatedProblem]:
        """Yields sound that was asked for, but is not recorded."""
        recorded = {name: rules for name, one in self._known().items() if (rules := rules_of(self._config, one))}
        message = "has no effect: recordings of what viewers see (source: annotated) have no sound"
        hint = "remove it, or write source: received"
        general, silent = self._config.recording, [name for name, rules in recorded.items() if rules.annotated]
        if general.audio and "audio" in general.model_fields_set and recorded and len(silent) == len(recorded):
            yield self._positions.located(("recording", "audio"), message, hint)
        for name in silent:
            own = self._config.cameras[name].recording
            if own is not None and own.audio:
                yield self._positions.located(("cameras", name, "recording", "audio"), message, hint)

    def _known(self) -> dict[str, Camera]:
        """Returns the cameras of which all options are known."""
        if any(path[:1] == ("recording",) for path in self._lost):
            return {}
        lost = {path[1] for path in self._lost if path[:1] == ("cameras",) and len(path) > 1}
        return {name: camera for name, camera in enabled(self._config).items() if name not in lost}

    def _without_effect(self, path: PathKey, own: CameraRecording | None) -> Iterator[LocatedProblem]:
        general = self._config.recording
        if own is None or not own.enabled:
            return
        if own.segments is not None and own.segments.enabled and general.segments is None:
            message = "has no effect: the top-level recording.segments is missing"
            yield self._positions.located((*path, "segments"), message, "add recording: {segments: {}}")
        differing = {name for name, value in own if value is not None}
        if general.clips is None and (differing & set(Clips.model_fields) or general.segments is None):
            message = "has no effect: the top-level recording.clips is missing"
            yield self._positions.located(path, message, "add recording: {clips: …}")

    def _camera(self, name: str, camera: Camera, rules: CameraRules) -> Iterator[LocatedProblem]:
        path: PathKey = ("cameras", name)
        if not rules.annotated:
            yield from self._received(path, camera)
        own = camera.recording or CameraRecording()
        if rules.clips is not None and not _names_events(rules.clips):
            hint = 'write which events get a clip, such as kinds: ["zone.*"]'
            yield self._positions.located(("recording", "clips"), "requires kinds or rules", hint)
        if rules.clips is not None and rules.clips.pre >= rules.clips.max_length:
            message = f"pre ({rules.clips.pre:g} s) is not less than max_length ({rules.clips.max_length:g} s)"
            at: PathKey = ("recording", "clips", "pre") if own.pre is None else (*path, "recording", "pre")
            yield self._positions.located(
                at, message, f"raise max_length, or write pre: {rules.clips.max_length / 2:g}s"
            )
        if rules.segments is not None and rules.segments.mode == "activity" and not _names_events(rules.segments):
            at = ("recording", "segments") if own.segments is None else (*path, "recording", "segments")
            hint = 'write which events are activity, such as kinds: ["zone.*"]'
            yield self._positions.located(at, "mode activity requires kinds or rules", hint)

    def _received(self, path: PathKey, camera: Camera) -> Iterator[LocatedProblem]:
        """Yields why what the camera sends cannot or must not be recorded."""
        instead = (
            "write recording: {source: annotated} for this camera to record what viewers see, or recording: "
            "{enabled: false}"
        )
        if camera.source.get_secret_value().lower().startswith("testpattern:"):
            message = "cannot be recorded as received: a test pattern is generated"
            yield self._positions.located((*path, "source"), message, instead)
        redacting = self._redacting(chain_of(self._config, camera))
        if redacting and not allows_unredacted(self._config, camera):
            message = (
                f"cannot be recorded as received: {', '.join(redacting)} of its chain redacts, but recordings show "
                "what the camera sends, unredacted"
            )
            hint = f"{instead}, or, if unredacted recordings are allowed, recording: {{allow_unredacted: true}}"
            yield self._positions.located(path, message, hint)


def _names_events(options: Clips | Segments) -> bool:
    return bool(options.kinds or options.rules)
