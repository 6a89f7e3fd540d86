"""The face plug-in's options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr

from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import ConfigProblem, Duration, PluginConfig
from sightd.plugins.face.matching.calibration import calibration_of

Score = Annotated[float, Field(ge=0, le=1)]


class FaceConfig(PluginConfig):
    """Detects and recognises faces. Every option has a default: `face: {}` works."""

    renamed_options: ClassVar[Mapping[str, str]] = {"max_looks": "max_embeddings"}

    detector: str = Field("yunet", description="Model that detects faces; see `sightd models list`.")
    recogniser: str = Field(
        "sface",
        description="Model that recognises faces. Enrolled faces can only be used with the model that embedded them.",
    )
    size: int = Field(
        640,
        ge=64,
        le=4096,
        multiple_of=32,
        description="Longest side, in pixels, of the image in which faces are detected; larger frames are scaled "
        "down, apart from close-ups.",
    )
    tiles: int = Field(
        1,
        ge=1,
        le=4,
        description="Search four (2) or nine (3) overlapping parts of each frame as well, instead of one part after "
        "the other.",
    )
    close_ups: int = Field(
        5,
        ge=0,
        le=64,
        description="Maximum number of model inputs per frame for close-ups: of people found earlier in the chain, of "
        "small or doubtful faces, and without a detector of one part of the frame after the other. 0 searches only the "
        "frame scaled down to `size`.",
    )
    within: Literal["frame", "people"] = Field(
        "frame",
        description="people searches only the persons found by a detector or tracker earlier in the chain.",
    )
    min_score: Score = Field(0.6, description="Minimum score of a face.")
    min_size: float = Field(
        8.0, ge=0, description="Minimum length of the shorter side of a face, in pixels of the camera frame."
    )
    min_quality: Score = Field(
        0.25,
        description="Faces of lower quality (size, sharpness, pose, score) are not used to identify anyone. Photos to "
        "enrol need at least 0.7.",
    )
    false_identification: float = Field(
        1e-3,
        gt=0,
        le=0.1,
        description="Share of strangers that would be identified as an enrolled person: 1e-3 is one in a "
        "thousand. Lower values mistake fewer strangers, but miss enrolled persons more often.",
    )
    recheck: Duration = Field(
        0.5, description="Interval at which a tracked face is embedded again.", examples=["500ms"]
    )
    max_embeddings: int = Field(
        4,
        ge=1,
        description="Maximum number of faces to embed per frame, longest waiting first; limits the processing time.",
    )
    gallery: Path | None = Field(
        None,
        description="Gallery file with the enrolled persons. By default faces.db in $SIGHTD_STATE_DIR, in the "
        "service's state directory, or in ~/.local/state/sightd.",
    )
    key: SecretStr | None = Field(
        None,
        description=(
            "Password or key that encrypts the gallery, preferably ${file:PATH}. Without it, the "
            "enrolled faces are lost."
        ),
        examples=["${file:/run/secrets/faces}"],
    )
    crops: bool = Field(
        True, description="Keep face crops of enrolled photos, so that they can be embedded by another model later."
    )
    unknown: bool = Field(
        True, description="Distinguish unknown persons, so that they can be named later (`sightd faces unknown`)."
    )
    unknown_retention: Duration = Field(
        7 * 86400.0, description="Forget unknown persons who were not seen for this long.", examples=["7d"]
    )
    max_unknown: int = Field(500, ge=1, le=100_000, description="Maximum number of unknown persons to remember.")
    blur: Literal["all", "unknown", "known", "none"] = Field(
        "none",
        description="Whose faces to redact in the output. If set, no frame is shown before it was analysed, and "
        "if the plug-in fails, the whole frame is redacted.",
    )
    names: bool = Field(True, description="Draw names in the image.")

    def for_embeddings(self) -> Self:
        """Embeds every face of every frame, however many there are."""
        return self.model_copy(update={"recheck": 0.0, "max_embeddings": 10_000})

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns unknown models and options that cannot be combined."""
        found = [
            ConfigProblem((option,), f'unknown model "{name}"', "see `sightd models list`")
            for option, name in (("detector", self.detector), ("recogniser", self.recogniser))
            if name not in networks.models
        ]
        if self.blur != "none" and (self.every > 1 or self.max_fps is not None):
            option = "every" if self.every > 1 else "max_fps"
            found.append(
                ConfigProblem(
                    (option,), "cannot be combined with blur, which needs every frame", f"remove {option} or blur"
                )
            )
        if self.recogniser in networks.models and calibration_of(self.recogniser) is None:
            found.append(
                ConfigProblem(
                    ("recogniser",),
                    f'false_identification is not calibrated for "{self.recogniser}"',
                    "use sface",
                )
            )
        if self.blur != "none" and self.within == "people":
            found.append(
                ConfigProblem(
                    ("within",),
                    "cannot be combined with blur, which must search the whole frame",
                    "remove within or blur",
                )
            )
        return found
