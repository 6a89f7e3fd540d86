from __future__ import annotations

import functools
import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from sightd.engines.cuda.gpus import no_gpu
from tests.support.device_engine import build_with_kernels
from tests.support.fake_cuda import StandIn

# Importing all tests makes objects that stay: searching them for garbage would take a third of the time.
gc.disable()

# Property tests have no time limits because other tests run at the same time. Examples are the same in every run,
# except with `--hypothesis-profile=random` (CONTRIBUTING.md).
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("random"), derandomize=True, database=None)
settings.load_profile("same")

FETCHING = {f"tests.support.{name}" for name in ("debian", "media", "nvrtc", "openvino", "tensorrt_packages")}
"""Helper modules that download what the cache lacks."""
STORED = "tests.support.networks.stored"
"""The only function of its module that downloads."""


@pytest.fixture(autouse=True, scope="session")
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps tests from writing to the user's state and from reaching a daemon that is not the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTD_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _signals_as_in_a_terminal() -> None:
    """Resets signals for child processes, which would otherwise inherit them ignored under nohup or in the
    background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """The stand-in for libcuda, PyCUDA and all kernels. Compiling them, if needed, takes a minute."""
    with closing(build_with_kernels(tmp_path_factory.mktemp("stand_in"))) as built:
        yield built


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks tests that may download something with `network`, by what their module imports."""
    if isinstance(item, pytest.Function) and may_fetch(item.module):
        item.add_marker(pytest.mark.network)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and (missing := no_gpu()):
        pytest.skip(f"{missing}: run the tests on a machine with one")


@functools.cache
def may_fetch(module: ModuleType) -> bool:
    """Whether a test module uses a helper that downloads, directly or through other test modules."""
    for value in list(vars(module).values()):
        origin = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if not isinstance(origin, str) or not origin.startswith("tests.") or origin == module.__name__:
            continue
        if origin in FETCHING or f"{origin}.{getattr(value, '__name__', '')}" == STORED:
            return True
        if origin != STORED.rpartition(".")[0] and origin in sys.modules and may_fetch(sys.modules[origin]):
            return True
    return False
