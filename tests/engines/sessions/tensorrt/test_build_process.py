"""Building in a separate process: with the real TensorRT for RTX, and with workers that fail."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from sightd.engines.errors import EngineBuildError
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.onnx_edit import to_fp16, with_dynamic_batch
from sightd.engines.sessions.tensorrt.build_process import build, decode, encode, visible_device
from sightd.engines.sessions.tensorrt.builder import BatchRange, BuildOrder
from sightd.engines.sessions.tensorrt.ensure import input_shapes
from sightd.engines.sessions.tensorrt.names import Flavour
from tests.support import tensorrt_packages
from tests.support.head_networks import bytes_with_colours_last, halves, two_inputs
from tests.support.networks import stored, write, write_double
from tests.support.waiting import eventually

BATCH = BatchRange(1, 4, 16)


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes child processes find the real TensorRT for RTX."""
    for name, value in tensorrt_packages.rtx().items():
        monkeypatch.setenv(name, value)


CARDS: dict[str, tuple[tuple[int, int], ...]] = {"any": (), "7.5": ((7, 5),), "8.6 to 12": ((8, 6), (8, 9), (12, 0))}
NETWORKS = ("ssd-mobilenet-v2", "yolox-nano", "deimv2-femto", "yunet", "style26", "mobilenet-v2", "sface")
QUICK_BUILDS = (
    *((name, "any", "fp16") for name in NETWORKS if name != "sface"),
    ("yolox-nano", "any", "fp32"),
    ("ssd-mobilenet-v2", "8.6 to 12", "fp16"),
)
"""Each network once, the other precision and several cards once; all combinations are slow."""
BUILDS = [
    pytest.param(*one, marks=[] if one in QUICK_BUILDS else pytest.mark.slow)
    for one in (
        *itertools.product(NETWORKS, ["any"], ["fp32", "fp16"]),
        *itertools.product(["ssd-mobilenet-v2", "yolox-nano"], ["7.5", "8.6 to 12"], ["fp32", "fp16"]),
    )
]


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize(("name", "cards", "precision"), BUILDS)
def test_the_catalogues_networks_are_built_for_any_batch(name: str, cards: str, precision: str, tmp_path: Path) -> None:
    network = tmp_path / f"{name}.onnx"
    opened = with_dynamic_batch(onnx.load(stored(name)))
    onnx.save(to_fp16(opened) if precision == "fp16" else opened, str(network))
    steps: list[tuple[str, int, int]] = []
    plan = tmp_path / "plan"
    sizes = input_shapes(Catalog.load().get(name).input)
    wanted = BuildOrder(network, Flavour.RTX, BATCH, sizes, capabilities=CARDS[cards])
    build(wanted, plan, lambda *step: steps.append(step), deadline=600)
    assert plan.stat().st_size > 100_000
    assert {"Building engine", "Optimizing graph"} <= {phase for phase, _, _ in steps}
    assert all(0 <= done <= total for _, done, total in steps)


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("write_network", [two_inputs, bytes_with_colours_last, halves])
def test_inputs_and_outputs_of_other_types_and_layouts_are_built(
    write_network: Callable[[Path], Model], tmp_path: Path
) -> None:
    model = write_network(tmp_path / "made.onnx")
    order = BuildOrder(tmp_path / "made.onnx", Flavour.RTX, BATCH, input_shapes(model.input))
    build(order, tmp_path / "plan", lambda *step: None, deadline=600)
    assert (tmp_path / "plan").stat().st_size > 1_000


@pytest.mark.usefixtures("rtx")
def test_a_card_that_tensorrt_for_rtx_does_not_know_is_told(tmp_path: Path) -> None:
    wanted = BuildOrder(write_double(tmp_path / "double.onnx"), Flavour.RTX, BATCH, capabilities=((9, 0),))
    with pytest.raises(EngineBuildError, match=r"does not support compute capability 9.0: use TensorRT"):
        build(wanted, tmp_path / "plan", lambda *step: None)


@pytest.mark.usefixtures("rtx")
def test_what_the_parser_does_not_read_is_told_in_its_words(tmp_path: Path) -> None:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 4])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 4])
    node = helper.make_node("Whatever", ["images"], ["output"], name="odd")
    unknown = write(tmp_path / "unknown.onnx", helper.make_graph([node], "unknown", [images], [output]))
    with pytest.raises(
        EngineBuildError, match=r"unknown.onnx cannot be read by TensorRT for RTX .* node odd \(Whatever\)"
    ):
        build(BuildOrder(unknown, Flavour.RTX, BATCH), tmp_path / "plan", lambda *step: None)


@pytest.mark.usefixtures("rtx")
def test_a_file_that_is_no_network_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.onnx"
    page.write_text("<html>not found</html>")
    with pytest.raises(EngineBuildError, match=r"page\.onnx cannot be read|cannot build page\.onnx"):
        build(BuildOrder(page, Flavour.RTX), tmp_path / "plan", lambda *step: None)
    assert not (tmp_path / "plan").exists()


@pytest.mark.usefixtures("rtx")
def test_who_looks_at_the_progress_can_stop_the_build(tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def progress(phase: str, done: int, total: int) -> None:
        if phase != "starting":
            raise StoppedError

    with pytest.raises(StoppedError):
        build(BuildOrder(stored("ssd-mobilenet-v2"), Flavour.RTX, BATCH), tmp_path / "plan", progress)


def worker(folder: Path, code: str) -> list[str]:
    """Returns the command of a misbehaving worker, which writes its process ID to `folder/pid`."""
    start = f"import os, sys, time, signal\nopen({str(folder / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    return [sys.executable, "-c", start + code]


def run(folder: Path, code: str, deadline: float = 20.0) -> None:
    build(
        BuildOrder(folder / "net.onnx", Flavour.TENSORRT), folder / "plan", lambda *step: None,
        deadline=deadline, worker=worker(folder, code),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV. Its output: none"),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"was killed by SIGKILL \(out of memory\?\)"),
        ("print('no room', file=sys.stderr); sys.exit(7)", "exited with code 7. Its output: no room"),
    ],
)
def test_a_worker_that_dies_is_told_with_its_last_words(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(EngineBuildError, match=told):
        run(tmp_path, code)


def test_a_build_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    before = time.monotonic()
    with pytest.raises(EngineBuildError, match=r"net.onnx was not built within 1 s: build stopped"):
        run(tmp_path, "time.sleep(60)", deadline=1.0)
    assert time.monotonic() - before < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_worker_whose_asker_has_died_ends(tmp_path: Path) -> None:
    """The parent is killed while a real worker waits for the order's ONNX file, a pipe that nobody writes to."""
    pipe = tmp_path / "net.onnx"
    os.mkfifo(pipe)
    (tmp_path / "tensorrt.py").write_text(
        f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    code = (
        "from pathlib import Path; from sightd.engines.sessions.tensorrt.build_process import build\n"
        "from sightd.engines.sessions.tensorrt.builder import BuildOrder\n"
        "from sightd.engines.sessions.tensorrt.names import Flavour\n"
        f"build(BuildOrder(Path({str(pipe)!r}), Flavour.TENSORRT), Path({str(tmp_path / 'plan')!r}), lambda *s: None)\n"
    )
    root = str(Path(__file__).resolve().parents[4])
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"}
    asker = subprocess.Popen([sys.executable, "-c", code], env=environment)
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "", within=20)
    asker.kill()
    asker.wait(10)
    child = int((tmp_path / "pid").read_text())
    eventually(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child), what="the worker ends")


def _is_zombie(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_an_order_survives_its_way_to_the_worker(tmp_path: Path) -> None:
    order = BuildOrder(
        tmp_path / "a b.onnx", Flavour.RTX, BATCH, {"images": (3, 8, 8)}, 1 << 20, 5, ((8, 6),), tmp_path / "timing"
    )
    assert decode(encode(order, tmp_path / "plan")) == (order, tmp_path / "plan")
    plain = BuildOrder(tmp_path / "net.onnx", Flavour.TENSORRT)
    assert decode(encode(plain, tmp_path / "plan")) == (plain, tmp_path / "plan")


@pytest.mark.parametrize(
    ("environ", "device", "shown"),
    [
        ({}, 0, "0"),
        ({}, 2, "2"),
        ({"CUDA_VISIBLE_DEVICES": "3,1"}, 1, "1"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-a, GPU-b"}, 0, "GPU-a"),
    ],
)
def test_the_worker_sees_the_one_card_that_is_meant(environ: dict[str, str], device: int, shown: str) -> None:
    assert visible_device(environ, device) == shown
