"""Engines that run in a plug-in's own process, as the daemon reports them."""

from __future__ import annotations

from collections.abc import Mapping

from sightd.daemon.isolation.messages import LoadedModel
from sightd.engines.engine import Engine
from sightd.engines.session import Backend, Tensor, TensorSpec


def remote_engine(network: LoadedModel) -> Engine:
    """Returns an engine that describes the model and cannot be run here."""
    return Engine(network.model, _RemoteSession(network.backend), network.reason)


class _RemoteSession:
    """Stand-in for a session in another process; it can be reported but not run."""

    inputs: Mapping[str, TensorSpec] = {}
    outputs: Mapping[str, TensorSpec] = {}

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raise RuntimeError("this model runs in the process of its plug-in")

    def close(self) -> None:
        """Does nothing: the other process closes its session."""
