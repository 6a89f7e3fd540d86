"""Nothing leaks and nothing is used after it was freed: real PyCUDA on the stand-in, which counts live objects."""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from sightd.engines.cuda.driver import CudaDevice, MemoryLimits, open_device
from sightd.engines.cuda.errors import (
    CudaClosedError,
    CudaError,
)
from tests.support.fake_cuda import on_stand_in
from tests.support.fake_cuda.control import alive, calls, fail, fail_no_more

pytestmark = pytest.mark.timeout(600)

ONE = (1, 1, 1)


def in_thread(work: Callable[[], None]) -> None:
    """Runs `work` on another thread and re-raises its exception here."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - re-raised in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=guarded, name="other")
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


@on_stand_in()
def test_another_thread_may_do_everything_and_close(kernels: bytes) -> None:
    device = open_device(0)

    def work() -> None:
        stream, buffer = device.stream(), device.allocate(4)
        buffer.fill(0, stream)
        device.module(kernels).function("increment").launch(ONE, ONE, buffer, stream=stream)
        event = stream.record()
        event.synchronize()
        assert event.done
        device.pinned((5,), np.int32).free()

    in_thread(work)
    assert alive()["contexts"] == 1
    in_thread(device.close)
    assert not alive()


@on_stand_in()
def test_forgotten_things_are_destroyed_at_the_next_call(kernels: bytes) -> None:
    device = open_device(0)

    def forget() -> None:
        stream, buffer = device.stream(), device.allocate(10)
        buffer.fill(0, stream)
        stream.record()
        device.pinned((10,), np.int32).array[:] = 1
        device.module(kernels).function("increment").launch(ONE, ONE, buffer, stream=stream)
        with stream.capture() as capture:
            pass
        capture.graph.launch(stream)

    in_thread(forget)
    gc.collect()
    device.stream().close()
    assert alive() == {"contexts": 1}
    device.close()


@on_stand_in()
def test_a_thousand_rounds_leave_nothing_alive(kernels: bytes) -> None:
    frame = np.zeros(100_000, np.uint8)
    with open_device(0) as device:
        for _ in range(1000):
            module = device.module(kernels)
            stream, buffer, pinned = device.stream(), device.allocate(frame.nbytes), device.pinned((100,), np.int32)
            buffer.upload(frame, stream)
            increment = module.function("increment")
            with stream.capture() as capture:
                increment.launch(ONE, ONE, buffer, stream=stream)
            capture.graph.launch(stream)
            buffer.download(pinned.array, stream)
            event = stream.record()
            event.synchronize()
            assert pinned.array[0] == 1
            for thing in (event, capture.graph, module, stream):
                thing.close()
            buffer.free()
            pinned.free()
        assert alive() == {"contexts": 1, "device memory": 1, "pinned": 1}
        assert calls("cuMemAlloc_v2") == calls("cuMemHostAlloc") == 1
        assert calls("cuCtxPushCurrent_v2") == calls("cuCtxPopCurrent_v2")


@on_stand_in()
def test_a_device_opens_and_closes_a_thousand_times(kernels: bytes) -> None:
    for _ in range(1000):
        with open_device(0) as device:
            device.allocate(100)
        device.close()
    assert not alive()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cuda-")]


@on_stand_in("clean at exit")
def test_a_device_that_is_left_open_is_closed_when_the_process_ends(kernels: bytes) -> None:
    device = open_device(0)
    device.allocate(10).fill(0, device.stream())
    device.pinned((10,), np.uint8)


@on_stand_in()
def test_after_close_everything_says_so(kernels: bytes) -> None:
    device = open_device(0)
    stream, buffer, pinned = device.stream(), device.allocate(10), device.pinned((10,), np.uint8)
    function = device.module(kernels).function("increment")
    event = stream.record()
    device.close()
    host = np.zeros(10, np.uint8)
    for use in (
        device.stream,
        lambda: device.allocate(10),
        lambda: device.pinned((10,), np.uint8),
        lambda: device.memory_free,
        lambda: pinned.array,
        lambda: buffer.upload(host, stream),
        lambda: buffer.address,
        lambda: function.launch(ONE, ONE, buffer, stream=stream),
        stream.synchronize,
        stream.record,
        event.synchronize,
    ):
        with pytest.raises(CudaClosedError):
            use()
    for end in (buffer.free, pinned.free, stream.close, event.close, device.close):
        end()


@on_stand_in()
def test_freed_memory_cannot_be_used(kernels: bytes) -> None:
    with open_device(0) as device:
        stream, buffer, pinned = device.stream(), device.allocate(10), device.pinned((10,), np.uint8)
        buffer.free()
        buffer.free()
        pinned.free()
        pinned.free()
        with pytest.raises(CudaClosedError, match="after it was freed"):
            buffer.fill(0, stream)
        with pytest.raises(CudaClosedError, match="after it was freed"):
            _ = pinned.array


@on_stand_in("with faults")
def test_page_locked_memory_that_somebody_looks_at_stays(kernels: bytes) -> None:
    limits = MemoryLimits(pinned_idle=0)
    with open_device(0, limits) as device:
        view = device.pinned((1000,), np.int32).array[10:20]
        view[:] = 7
        device.pinned((10,), np.uint8).free()
        assert alive()["pinned"] == 1
        assert view.tolist() == [7] * 10
    assert alive() == {"contexts": 1, "pinned": 1}
    assert view.tolist() == [7] * 10


@on_stand_in()
def test_whatever_call_fails_nothing_is_left_behind(kernels: bytes) -> None:
    in_thread(lambda: each_call_fails_once(kernels))


def each_call_fails_once(kernels: bytes) -> None:
    """Runs the whole path once for each driver call in it, making that call fail; the device must close cleanly."""

    def whole_way(device: CudaDevice) -> None:
        stream, buffer, host = device.stream(), device.allocate(1000), np.zeros(10, np.uint8)
        device.pinned((10,), np.uint8).array[:] = 1
        buffer.upload(host, stream)
        buffer.fill(0, stream)
        device.allocate(1000).copy_from(buffer, stream)
        increment = device.module(kernels).function("increment")
        with stream.capture() as capture:
            increment.launch(ONE, ONE, buffer, stream=stream)
        capture.graph.launch(stream)
        buffer.download(host, stream)
        event = stream.record()
        stream.wait(event)
        assert event.elapsed_since(stream.record()) < 5
        stream.synchronize()
        assert event.done
        assert device.memory_free > 0

    kept: list[CudaError] = []  # with their tracebacks, which keep many objects alive
    for function in FAILING:
        for nth in (1, 2):
            before = calls(function)
            device = open_device(0)
            fail(function, nth)
            try:
                whole_way(device)
            except CudaError as error:
                kept.append(error)
            else:
                assert calls(function) - before < nth, f"{function}: its failure went unseen"
            fail_no_more()
            device.close()
            assert not alive(), f"{function}, call {nth}"
    assert len(kept) > len(FAILING)
    fail("cuDevicePrimaryCtxRetain")
    with pytest.raises(CudaError, match="opening the device"):
        open_device(0)


FAILING = (
    "cuCtxPushCurrent_v2",
    "cuStreamCreate",
    "cuEventCreate",
    "cuMemAlloc_v2",
    "cuMemHostAlloc",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD8Async",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuModuleLoadDataEx",
    "cuModuleGetFunction",
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuLaunchKernel",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuEventQuery",
    "cuEventElapsedTime_v2",
    "cuStreamWaitEvent",
    "cuMemGetInfo_v2",
)


@on_stand_in()
def test_two_threads_may_sweep_at_once(kernels: bytes) -> None:
    device, done = open_device(0), deque[int]()
    forgotten = device._context._forgotten
    before, faults = sys.getswitchinterval(), list[BaseException]()

    def sweeps() -> None:
        try:
            while len(done) < 20_000:
                device._context.sweep()
        except IndexError as error:
            faults.append(error)

    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=sweeps) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(20_000):
        forgotten.append(partial(done.append, n))
    for thread in threads:
        thread.join(20)
    sys.setswitchinterval(before)
    assert not faults
    assert len(done) == 20_000, "each once"
    device.close()
