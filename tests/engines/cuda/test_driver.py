"""The driver with real PyCUDA on a stand-in for libcuda: each test runs in its own process and must leave nothing alive
on the device."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from sightd.engines.cuda import driver
from sightd.engines.cuda.driver import MemoryLimits, chosen, open_device
from sightd.engines.cuda.errors import (
    CudaClosedError,
    CudaContextLostError,
    CudaOutOfMemoryError,
    CudaUnavailableError,
    KernelError,
)
from tests.support.fake_cuda import on_stand_in
from tests.support.fake_cuda.control import ILLEGAL_ADDRESS, OUT_OF_MEMORY, fail

pytestmark = pytest.mark.timeout(600)

ONE = (1, 1, 1)


@on_stand_in()
def test_a_device_says_what_it_is(kernels: bytes) -> None:
    assert driver.available() is None
    with open_device("cuda:0") as device:
        assert (device.ordinal, device.name, device.compute_capability) == (0, "Stand-in 0", (8, 6))
        assert device.memory_free == device.memory_total == 1 << 30
        buffer = device.allocate(1 << 20)
        assert device.memory_free == (1 << 30) - (1 << 20)
        assert buffer.address % 256 == 0


@on_stand_in(FAKE_CUDA_DEVICES="3")
def test_auto_spreads_over_the_devices(kernels: bytes) -> None:
    devices = [open_device("auto") for _ in range(4)]
    assert [device.ordinal for device in devices] == [0, 1, 2, 0]
    devices[1].close()
    devices.append(open_device("auto"))
    assert devices[-1].ordinal == 1
    for device in devices:
        device.close()


@on_stand_in()
def test_an_array_comes_back_as_it_was_sent_and_is_counted(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, buffer, other = device.stream(), device.allocate(4000), device.allocate(8000)
        sent = np.arange(1000, dtype=np.float32)
        got = device.pinned((10, 100), np.float32)
        buffer.upload(sent, stream)
        other.fill(0, stream)
        other.copy_from(buffer, stream)
        other.download(got.array, stream)
        stream.synchronize()
        np.testing.assert_array_equal(got.array.ravel(), sent)
        counter = device.transfers
        assert (counter.bytes_to_device, counter.bytes_to_host, counter.copies) == (4000, 4000, 2)


@on_stand_in()
def test_a_kernel_gets_its_arguments_as_c_lays_them_out(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, buffer = device.stream(), device.allocate(40)
        buffer.upload(np.arange(10, dtype=np.float32), stream)
        area = np.array((2, 3, 10.0), np.dtype("i4,i4,f4")).tobytes()
        scale = device.module(kernels).function("scale")
        scale.launch(ONE, (32, 1, 1), buffer, area, np.int32(1), np.float32(0.5), stream=stream)
        result = np.empty(10, np.float32)
        buffer.download(result, stream)
        stream.synchronize()
        assert result.tolist() == [0, 1, 2, 30.5, 40.5, 50.5, 6, 7, 8, 9]


@on_stand_in()
def test_grid_block_and_shared_memory_reach_the_kernel(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, out = device.stream(), device.allocate(32)
        function = device.module(kernels).function("report_launch")
        function.launch((2, 3, 4), (8, 16, 2), out, stream=stream, shared_bytes=99)
        figures = np.empty(8, np.uint32)
        out.download(figures, stream)
        stream.synchronize()
        assert figures.tolist() == [2, 3, 4, 8, 16, 2, 99, 8]


@on_stand_in(FAKE_CUDA_DEVICES="2")
def test_two_devices_are_used_in_turn_by_one_thread(kernels: bytes) -> None:
    with open_device(0) as first, open_device(1) as second, first.active():
        assert first.memory_free == 1 << 30
        with second.active():
            in_first, in_second = first.allocate(100), second.allocate(1000)
            stream = first.stream()
            in_first.fill(1, stream)
            in_first.free()
        in_second.free()
        assert (first.memory.idle_blocks, second.memory.idle_blocks) == (1, 1)


@on_stand_in()
def test_events_order_streams_and_tell_the_time(kernels: bytes) -> None:
    with open_device(0) as device:
        first, second = device.stream(), device.stream()
        begun = first.record()
        second.wait(begun)
        ended = second.record()
        assert ended.done
        assert 0 <= ended.elapsed_since(begun) < 5
        ended.close()
        ended.close()
        with pytest.raises(CudaClosedError):
            ended.synchronize()


@on_stand_in(FAKE_CUDA_MEMORY=str(1 << 20))
def test_out_of_memory_says_how_much_was_asked_for_and_is_free(kernels: bytes) -> None:
    with open_device(0) as device:
        kept = device.allocate(1 << 19)
        device.allocate(1 << 18).free()
        expected = r"cuda:0: out of memory: 0\.9 MiB|917504 bytes requested, 524288 bytes of 1\.0 MiB free"
        with pytest.raises(CudaOutOfMemoryError, match=expected) as caught:
            device.allocate(900_000)
        assert (caught.value.requested, caught.value.free, caught.value.total) == (917504, 1 << 19, 1 << 20)
        kept.free()
        device.allocate(900_000)


@on_stand_in()
def test_page_locked_memory_is_bounded(kernels: bytes) -> None:
    with open_device(0, MemoryLimits(pinned=1 << 20)) as device:
        kept = device.pinned((1 << 19,), np.uint8)
        with pytest.raises(CudaOutOfMemoryError, match="page-locked memory, limited to 1048576 bytes"):
            device.pinned((1 << 20,), np.uint8)
        fail("cuMemHostAlloc", 1, OUT_OF_MEMORY)
        device.pinned((1 << 10,), np.uint8)
        assert kept.array.size == 1 << 19


@on_stand_in()
def test_host_arrays_that_do_not_fit_are_refused(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, buffer = device.stream(), device.allocate(100)
        with pytest.raises(ValueError, match="101 bytes of host memory do not match a buffer of 100"):
            buffer.upload(np.zeros(101, np.uint8), stream)
        with pytest.raises(ValueError, match="C-contiguous"):
            buffer.download(np.zeros((8, 8), np.uint8).T[::2], stream)
        with pytest.raises(ValueError, match="200 bytes do not fit in a buffer of 100"):
            buffer.copy_from(device.allocate(200), stream)
        assert device.transfers.copies == 0


@on_stand_in()
def test_kernels_that_cannot_be_built_or_launched_are_kernel_errors(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, buffer = device.stream(), device.allocate(100)
        with pytest.raises(KernelError, match="must be compiled for this device"):
            device.module(b"no cubin")
        module = device.module(kernels)
        with pytest.raises(KernelError, match='finding the kernel "absent"'):
            module.function("absent")
        increment = module.function("increment")
        with pytest.raises(KernelError, match=r"launching increment, grid \(0, 1, 1\), block \(1, 1, 1\)"):
            increment.launch((0, 1, 1), ONE, buffer, stream=stream)
        fail("cuLaunchKernel", 1, 701)
        with pytest.raises(KernelError, match="too many resources"):
            increment.launch(ONE, ONE, buffer, stream=stream)
        with pytest.raises(ValueError, match="increment was called with 8 bytes of arguments before, now with 12"):
            increment.launch(ONE, ONE, buffer, np.int32(1), stream=stream)
        module.close()
        with pytest.raises(CudaClosedError):
            increment.launch(ONE, ONE, buffer, stream=stream)


@on_stand_in()
def test_a_kernel_that_somebody_else_asks_for_too_can_still_be_launched(kernels: bytes) -> None:
    """As when the detector's second thread gets its kernels while the first one works."""
    with open_device(0) as device:
        module, stream, buffer = device.module(kernels), device.stream(), device.allocate(4)
        buffer.fill(0, stream)
        first = module.function("increment")
        first.launch(ONE, ONE, buffer, stream=stream)
        second = module.function("increment")
        first.launch(ONE, ONE, buffer, stream=stream)
        second.launch(ONE, ONE, buffer, stream=stream)
        found = np.empty(1, np.int32)
        buffer.download(found, stream)
        stream.synchronize()
        assert found == 3


@on_stand_in("with faults")
def test_a_fault_in_a_kernel_says_that_the_device_is_lost(kernels: bytes) -> None:
    with open_device(0) as device:
        stream = device.stream()
        fail("cuEventSynchronize", 1, ILLEGAL_ADDRESS)
        with pytest.raises(CudaContextLostError, match=r"illegal memory access.*restart it"):
            stream.synchronize()
        with pytest.raises(CudaContextLostError):
            device.allocate(100)


@on_stand_in(FAKE_CUDA_DEVICES="0")
def test_without_a_gpu_the_driver_says_so(kernels: bytes) -> None:
    assert "no CUDA-capable device is detected. Run `nvidia-smi` for details" in str(driver.available())
    with pytest.raises(CudaUnavailableError):
        open_device("auto")


def test_importing_the_driver_imports_no_cuda() -> None:
    code = "import sys, engines.cuda.driver; print(sorted({'pycuda', 'cuda'} & {n.split('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ModuleNotFoundError("no", name="pycuda"), "pycuda is not installed; run `pip install 'sightd[gpu]'`"),
        (ImportError("libcuda.so.1: cannot open shared object file"), "the NVIDIA driver is not installed"),
        (ImportError("undefined symbol: cuCtxCreate_v9"), "Update the driver"),
    ],
)
def test_a_missing_part_is_named_with_its_remedy(
    error: ImportError, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", missing)
    assert advice in str(driver.available())
    with pytest.raises(CudaUnavailableError):
        open_device(0)


@pytest.mark.parametrize("which", ["cuda", "gpu0", "cuda:-1", "", -1])
def test_an_unknown_name_of_a_device_is_refused(which: str | int) -> None:
    with pytest.raises(ValueError, match="is not a CUDA device"):
        chosen(which, 2, Counter())


def test_a_device_that_is_not_there_is_named() -> None:
    assert chosen("cuda:1", 2, Counter()) == 1
    with pytest.raises(CudaUnavailableError, match="cuda:2 does not exist: this machine has 2"):
        chosen("cuda:2", 2, Counter())
