"""The face plug-in's options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from sightd.engines.catalog import Catalog
from sightd.plugins.api import Fault, PluginConfig
from sightd.plugins.face.calibration import calibration_of
from sightd.plugins.units import Duration

Score = Annotated[float, Field(ge=0, le=1)]


class FaceConfig(PluginConfig):
    """Finds and recognises faces. Every option has a default: `face: {}` works."""

    detector: str = Field("yunet", description="The network that finds faces, by its name in `sightd models list`.")
    recogniser: str = Field(
        "sface", description="The network that tells faces apart. Enrolled faces belong to the one that saw them."
    )
    size: int = Field(
        640,
        ge=64,
        le=4096,
        multiple_of=32,
        description="Longest side of the picture in which faces are looked for, in pixels; larger ones are made "
        "smaller for it. Double finds faces half as large, at four times the cost.",
    )
    tiles: int = Field(
        1, ge=1, le=4, description="2 looks at four overlapping parts of the picture besides, 3 at nine: small faces."
    )
    within: Literal["frame", "people"] = Field(
        "frame",
        description="people looks for faces only where a detector or tracker earlier in the chain has found persons.",
    )
    min_score: Score = Field(0.6, description="Least score of a face.")
    min_size: float = Field(20.0, ge=0, description="Least length of a face's shorter side, in the camera's pixels.")
    min_quality: Score = Field(
        0.5, description="Faces of lower quality (size, sharpness, pose, score) are not used to identify anyone."
    )
    false_identification: float = Field(
        1e-3,
        gt=0,
        le=0.1,
        description="How many of a stranger's looks would get somebody's name: 1e-3 is one in a thousand. Lower "
        "mistakes fewer strangers for those you know, and misses those you know more often.",
    )
    recheck: Duration = Field(
        0.5, description="How often a face that is followed is looked at again.", examples=["500ms"]
    )
    max_looks: int = Field(
        4, ge=1, description="Most faces looked at on one frame, those first that wait longest; bounds its time."
    )
    gallery: Path | None = Field(
        None,
        description="File of the enrolled persons. By default faces.db in $SIGHTD_STATE_DIR, in the service's state "
        "directory, or in ~/.local/state/sightd.",
    )
    key: SecretStr | None = Field(
        None,
        description="Encrypts the gallery: a password or key of your own, best as ${file:PATH}. Losing it loses them.",
        examples=["${file:/run/secrets/faces}"],
    )
    crops: bool = Field(
        True, description="Keep the cut-out faces of photographs: another network can then be taken later."
    )
    unknown: bool = Field(
        True, description="Tell unknown persons apart, so that one can be named afterwards (`sightd faces unknown`)."
    )
    unknown_retention: Duration = Field(
        7 * 86400.0, description="Unknown persons who were not seen for so long are forgotten.", examples=["7d"]
    )
    max_unknown: int = Field(500, ge=1, le=100_000, description="Most unknown persons remembered.")
    blur: Literal["all", "unknown", "known", "none"] = Field(
        "none",
        description="Whose faces are made mosaics on the output. No frame is shown before it was looked at then, and "
        "where the plug-in fails the whole picture is a mosaic.",
    )
    names: bool = Field(True, description="Write names on the picture.")

    def faults(self, networks: Catalog) -> list[Fault]:
        """Returns unknown models and options that cannot be combined."""
        found = [
            Fault((option,), f'unknown model "{name}"', "see `sightd models list`")
            for option, name in (("detector", self.detector), ("recogniser", self.recogniser))
            if name not in networks.models
        ]
        if self.blur != "none" and (self.every > 1 or self.max_fps is not None):
            option = "every" if self.every > 1 else "max_fps"
            found.append(
                Fault((option,), "cannot be combined with blur, which needs every frame", f"remove {option} or blur")
            )
        if self.recogniser in networks.models and calibration_of(self.recogniser) is None:
            found.append(
                Fault(
                    ("recogniser",),
                    f'false_identification is not calibrated for "{self.recogniser}"',
                    "use sface",
                )
            )
        if self.blur != "none" and self.within == "people":
            found.append(
                Fault(
                    ("within",),
                    "cannot be combined with blur, which must search the whole frame",
                    "remove within or blur",
                )
            )
        return found
