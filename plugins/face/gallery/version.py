"""Records which version of a model a gallery's faces belong to."""

from __future__ import annotations

import logging

from sightd.engines.catalog import Catalog
from sightd.plugins.face.gallery.errors import UnwritableError
from sightd.plugins.face.gallery.gallery import Gallery

log = logging.getLogger(__name__)


def keep_versions_apart(gallery: Gallery, recogniser: str) -> None:
    """Records the version (weights hash) of a catalogue model in the gallery; warns if faces are of another version."""
    model = Catalog.load().models.get(recogniser)
    if model is None or not model.sources or not model.sources[0].sha256:
        return
    try:
        others = gallery.keep_apart(recogniser, model.sources[0].sha256)
    except UnwritableError as error:
        log.error("enrolled faces are taken for those of this version of %s: %s", recogniser, error)
        return
    if others:
        log.warning(
            "%d enrolled faces were seen by another version of %s and are not compared any more: `sightd faces "
            "see-again` makes new ones of those whose picture is kept",
            others,
            recogniser,
        )
