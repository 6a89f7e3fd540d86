"""Fixtures of the CUDA tests."""

from __future__ import annotations

import pytest

from tests.support.fake_cuda import StandIn, build_stand_in


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    """The stand-in for libcuda, and PyCUDA; compiling PyCUDA, if needed, takes a minute."""
    return build_stand_in(tmp_path_factory.mktemp("stand_in"))
