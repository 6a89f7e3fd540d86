"""The networks that a configuration can name: one answer for the check of the file and for the run."""

from __future__ import annotations

from collections.abc import Mapping

from sightd.daemon.config.model import Models
from sightd.engines.catalog import Catalog
from sightd.engines.own_models import with_own
from sightd.engines.store import default_directory


def known_networks(models: Models, environ: Mapping[str, str]) -> Catalog:
    """The catalogue and what was made here of its networks, in the folder that `models` or `environ` says.

    Reads no network.
    """
    return with_own(Catalog.load(), models.directory or default_directory(environ))
