"""The models a configuration can name, the same for validation and at run time."""

from __future__ import annotations

from collections.abc import Mapping

from sightd.daemon.config.model import Models
from sightd.engines.catalog import Catalog
from sightd.engines.custom_models import with_custom_models
from sightd.engines.store import default_directory


def known_networks(models: Models, environ: Mapping[str, str]) -> Catalog:
    """Returns the built-in catalogue plus the custom models in the directory set by `models` or `environ`.

    Loads no model.
    """
    return with_custom_models(Catalog.load(), models.directory or default_directory(environ))
