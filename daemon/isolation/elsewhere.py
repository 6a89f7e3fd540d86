"""Networks that run in a plug-in's own process, as the daemon reports them."""

from __future__ import annotations

from collections.abc import Mapping

from sightd.daemon.isolation.messages import Network
from sightd.engines.engine import Engine
from sightd.engines.session import Backend, Tensor, TensorSpec


def elsewhere(network: Network) -> Engine:
    """What the network is; it cannot be run here."""
    return Engine(network.model, _SessionElsewhere(network.backend), network.reason)


class _SessionElsewhere:
    """A session of another process: it can be told of, and not be run."""

    inputs: Mapping[str, TensorSpec] = {}
    outputs: Mapping[str, TensorSpec] = {}

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raise RuntimeError("this network runs in its plug-in's own process")

    def close(self) -> None:
        """That process closes it."""
