"""What is recorded of each camera, and its checks: above all, that no recording shows what a camera's chain redacts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from sightd.daemon.config.diff import chain_of, enabled
from sightd.daemon.config.model import Camera, CameraRecording, ClipRules, Config
from sightd.daemon.config.problems import LocatedProblem, PathKey, Positions


def clips_of(config: Config, camera: Camera) -> ClipRules | None:
    """Returns which events of a camera get a clip; None if none do."""
    clips, own = config.recording.clips, camera.recording or CameraRecording()
    if clips is None or not own.enabled:
        return None
    differing = {name: value for name, value in own if value is not None and name in ClipRules.model_fields}
    return ClipRules.model_construct(**{name: getattr(clips, name) for name in ClipRules.model_fields} | differing)


def allows_unredacted(config: Config, camera: Camera) -> bool:
    """Returns whether a camera whose chain redacts may be recorded as it is."""
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
        if any(path[:1] == ("recording",) for path in self._lost):
            return
        for name, camera in enabled(self._config).items():
            if any(path[:2] == ("cameras", name) for path in self._lost):
                continue
            own = camera.recording
            if self._config.recording.clips is None and own is not None and own.enabled:
                message = "has no effect: the top-level recording.clips is missing"
                yield self._positions.located(("cameras", name, "recording"), message, "add recording: {clips: …}")
            if (rules := clips_of(self._config, camera)) is not None:
                yield from self._camera(name, camera, rules)

    def _camera(self, name: str, camera: Camera, rules: ClipRules) -> Iterator[LocatedProblem]:
        path: PathKey = ("cameras", name)
        off = "write recording: {enabled: false} for this camera"
        if camera.source.get_secret_value().lower().startswith("testpattern:"):
            message = "cannot be recorded: a test pattern is not received, but generated"
            yield self._positions.located((*path, "source"), message, off)
        redacting = self._redacting(chain_of(self._config, camera))
        if redacting and not allows_unredacted(self._config, camera):
            message = (
                f"cannot be recorded: {', '.join(redacting)} of its chain redacts, but recordings show what the camera "
                "sends, unredacted"
            )
            hint = f"{off}, or, if unredacted recordings are allowed, recording: {{allow_unredacted: true}}"
            yield self._positions.located(path, message, hint)
        if rules.pre >= rules.max_length:
            message = f"pre ({rules.pre:g} s) is not less than max_length ({rules.max_length:g} s)"
            own = camera.recording is not None and camera.recording.pre is not None
            at: PathKey = (*path, "recording", "pre") if own else ("recording", "clips", "pre")
            yield self._positions.located(at, message, f"raise max_length, or write pre: {rules.max_length / 2:g}s")
