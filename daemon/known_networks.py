"""The networks that a configuration can name: one answer for the check of the file and for the run."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.config.model import Models
from engines.catalog import Catalog


def known_networks(models: Models, environ: Mapping[str, str]) -> Catalog:
    """What the `models` section makes known; `environ` says where networks lie by default. Reads no network."""
    return Catalog.load()
