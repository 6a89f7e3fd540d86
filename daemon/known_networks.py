"""The networks that a configuration can name: one answer for the check of the file and for the run."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.config.model import Models
from engines.catalog import Catalog
from engines.own_models import with_own
from engines.store import default_directory


def known_networks(models: Models, environ: Mapping[str, str]) -> Catalog:
    """The catalogue and what was made here of its networks, in the folder that `models` or `environ` says.

    Reads no network.
    """
    return with_own(Catalog.load(), models.directory or default_directory(environ))
