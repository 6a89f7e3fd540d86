"""TensorRTSession with stand-ins for TensorRT and a CUDA device."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.engines.errors import EngineError
from sightd.engines.sessions.tensorrt.execution_slots import _BINDINGS
from sightd.engines.sessions.tensorrt.names import Flavour
from sightd.engines.sessions.tensorrt.session import TensorRTSession
from tests.support import fake_tensorrt
from tests.support.fake_device import MEMORY, FakeDevice
from tests.support.fake_tensorrt import plan
from tests.support.waiting import eventually


def pictures(rows: int) -> NDArray[np.float32]:
    return np.random.default_rng(rows).normal(size=(rows, 2, 3)).astype(np.float32)


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    made = FakeDevice()
    yield made
    made.close()


def opened(device: FakeDevice, content: bytes = b"", execution_slots: int = 2) -> TensorRTSession:
    trt = fake_tensorrt.flavoured(Flavour.TENSORRT)
    return TensorRTSession(
        trt, content or plan(), device, name="net", precision="fp16", execution_slots=execution_slots
    )


@pytest.fixture
def session(device: FakeDevice) -> Iterator[TensorRTSession]:
    made = opened(device)
    yield made
    made.close()


def test_it_says_what_it_is_and_what_it_takes(session: TensorRTSession) -> None:
    assert (session.backend.name, session.backend.device, session.backend.precision) == ("tensorrt", "cuda:0", "fp16")
    assert session.inputs["images"].shape == (None, 2, 3)
    assert session.outputs["output"].dtype == np.float32
    assert session.largest_batch == 4


@pytest.mark.parametrize("rows", [1, 2, 4, 5, 9])
def test_any_number_of_rows_is_run_in_batches_that_the_engine_takes(session: TensorRTSession, rows: int) -> None:
    fed = pictures(rows)
    np.testing.assert_array_equal(session.run({"images": fed})["output"], fed * 2)


def test_fewer_rows_than_the_engine_takes_are_filled_up_and_cut_off_again(device: FakeDevice) -> None:
    session = opened(device, plan(batch=(3, 3, 4)))
    found = session.run({"images": pictures(2)})["output"]
    np.testing.assert_array_equal(found, pictures(2) * 2)
    session.close()


def test_an_engine_of_a_fixed_batch_takes_any(device: FakeDevice) -> None:
    session = opened(device, plan(shape=(1, 2, 3), batch=(1, 1, 1)))
    np.testing.assert_array_equal(session.run({"images": pictures(3)})["output"], pictures(3) * 2)
    session.close()


def test_outputs_are_the_callers_own(session: TensorRTSession) -> None:
    first = session.run({"images": pictures(1)})["output"]
    kept = first.copy()
    for _ in range(4):
        session.run({"images": pictures(1) + 1})
    np.testing.assert_array_equal(first, kept)


def test_a_batch_that_comes_again_is_replayed_as_a_graph(device: FakeDevice) -> None:
    session = opened(device, execution_slots=1)
    for _ in range(5):
        fed = pictures(2)
        np.testing.assert_array_equal(session.run({"images": fed})["output"], fed * 2)
        np.testing.assert_array_equal(session.run({"images": fed[:1]})["output"], fed[:1] * 2)
    stream = next(thing for thing in device.live if type(thing).__name__ == "FakeStream")
    assert stream.launches == 2 * 3  # type: ignore[attr-defined]
    session.close()


def test_warming_up_captures_what_comes_first(device: FakeDevice) -> None:
    session = opened(device)
    session.warm_up()
    assert (
        sum(type(thing).__name__ == "FakeGraph" for thing in device.live) == 4
    )  # two execution slots, one row and two
    session.close()


def test_an_output_whose_size_the_data_decide_comes_in_its_size(device: FakeDevice) -> None:
    session = opened(device, plan(places=True))
    for rows in (1, 4, 2, 4):
        fed = pictures(rows)
        found = session.run({"images": fed})
        np.testing.assert_array_equal(found["places"], np.argwhere(fed > 0))
        np.testing.assert_array_equal(found["output"], fed * 2)
    nothing = session.run({"images": np.zeros((1, 2, 3), np.float32)})
    assert nothing["places"].shape == (0, 3)
    session.close()


def test_no_memory_for_such_an_output_is_an_error_and_the_lane_serves_on(device: FakeDevice) -> None:
    session = opened(device, plan(places=True), execution_slots=1)
    session.run({"images": np.zeros((1, 2, 3), np.float32)})
    device.budget = 8
    with pytest.raises(EngineError, match="no memory for an output: 144 bytes"):
        session.run({"images": np.ones((1, 2, 3), np.float32)})
    device.budget = 1 << 20
    assert len(session.run({"images": np.ones((1, 2, 3), np.float32)})["places"]) == 6
    session.close()


def test_frames_on_the_device_are_run_there_and_stay_there(device: FakeDevice, session: TensorRTSession) -> None:
    stream, buffer = device.stream(), device.allocate(4 * 2 * 3 * 4)
    for turn in range(4):
        fed = pictures(3) + turn
        buffer.upload(fed, stream)
        with session.run_device({"images": buffer}, 3, stream) as run:
            output = run.outputs["output"]
            assert output.shape == (3, 2, 3)
            found = np.empty(output.shape, output.dtype)
            output.buffer.download(found, stream)
        np.testing.assert_array_equal(found, fed * 2)
    assert stream.launches == 2
    buffer.free()
    stream.close()


def test_the_next_user_of_a_lane_waits_for_the_stream_that_had_it(device: FakeDevice) -> None:
    session = opened(device, execution_slots=1)
    mine, other, buffer = device.stream(), device.stream(), device.allocate(96)
    session.run_device({"images": buffer}, 1, mine).release()
    session.run_device({"images": buffer}, 1, other).release()
    assert len(other.waited) == 1
    session.run({"images": pictures(1)})
    session.close()
    buffer.free()
    mine.close()
    other.close()


def test_a_run_on_the_device_that_does_not_fit_is_refused(device: FakeDevice, session: TensorRTSession) -> None:
    stream, buffer = device.stream(), device.allocate(96)
    with pytest.raises(EngineError, match="batch size 5 is outside the range 1:2:4"):
        session.run_device({"images": buffer}, 5, stream)
    with pytest.raises(EngineError, match=r"has the inputs \['images'\], not \['picture'\]"):
        session.run_device({"picture": buffer}, 1, stream)
    buffer.free()
    stream.close()


def test_addresses_that_never_come_again_do_not_pile_up(device: FakeDevice) -> None:
    session = opened(device, execution_slots=1)
    stream = device.stream()
    for _ in range(_BINDINGS + 8):
        buffer = device.allocate(96)
        for _ in range(2):
            session.run_device({"images": buffer}, 1, stream).release()
        buffer.free()
    assert sum(type(thing).__name__ == "FakeGraph" for thing in device.live) <= _BINDINGS
    session.close()
    stream.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"picture": np.zeros((1, 2, 3), np.float32)},
        {"images": np.zeros((1, 2, 4), np.float32)},
        {"images": np.zeros((1, 2, 3), np.float64)},
        {"images": np.zeros((0, 2, 3), np.float32)},
        {},
    ],
)
def test_input_that_does_not_fit_is_refused_and_reported(
    session: TensorRTSession, wrong: dict[str, NDArray[np.float32]]
) -> None:
    with pytest.raises(EngineError, match=r"It expects images float32 \[None, 2, 3\]"):
        session.run(wrong)


def test_more_threads_than_lanes_get_their_own_results(session: TensorRTSession) -> None:
    def one(turn: int) -> bool:
        fed = pictures(1 + turn % 6) + turn
        return np.array_equal(session.run({"images": fed})["output"], fed * 2)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(one, range(200)))


def test_closing_gives_everything_back_and_twice_is_safe(device: FakeDevice) -> None:
    before = len(MEMORY)
    session = opened(device, plan(places=True))
    session.run({"images": pictures(9)})
    session.close()
    session.close()
    assert not device.live
    assert len(MEMORY) == before
    with pytest.raises(EngineError, match="called after close"):
        session.run({"images": pictures(1)})


def test_closing_waits_for_a_run_under_way(device: FakeDevice) -> None:
    session = opened(device, execution_slots=1)
    stream, buffer = device.stream(), device.allocate(96)
    run = session.run_device({"images": buffer}, 1, stream)
    closer = threading.Thread(target=session.close, name="closer")
    closer.start()
    eventually(lambda: session._pool._closed)
    assert closer.is_alive()
    run.release()
    closer.join(5)
    assert not closer.is_alive()
    buffer.free()
    stream.close()


def test_a_plan_that_tensorrt_refuses_is_reported_with_its_reason_and_leaves_nothing(device: FakeDevice) -> None:
    with pytest.raises(EngineError, match="rejects the engine on Stand-in: the plan is of another version"):
        opened(device, b"rubbish")
    assert not device.live


def test_too_little_memory_at_the_start_leaves_nothing(device: FakeDevice) -> None:
    device.budget = 10
    with pytest.raises(MemoryError):
        opened(device)
    assert not device.live


def test_an_engine_of_types_that_hosts_do_not_know_is_refused(device: FakeDevice) -> None:
    with pytest.raises(EngineError, match="bfloat16, which is not supported"):
        opened(device, plan(dtype="bfloat16"))


def test_a_capture_that_fails_is_reported_and_runs_go_on(
    device: FakeDevice, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.fake_device import FakeStream

    def refuse(self: FakeStream) -> object:
        raise EngineError("the driver does not capture")

    monkeypatch.setattr(FakeStream, "capture", refuse)
    session = opened(device, execution_slots=1)
    for _ in range(4):
        np.testing.assert_array_equal(session.run({"images": pictures(1)})["output"], pictures(1) * 2)
    assert caplog.text.count("without a CUDA graph") == 1
    session.close()
