"""Which backend runs a model fastest here: every stored model on every backend, one thread, batch size 1.

    sightd models fetch ssd-mobilenet-v2
    sightd models quantize ssd-mobilenet-v2 --calibrate recordings/     for int8 rows
    python -m bench.backends

Backends take turns within a run, so other load on the machine affects all of them: compare ratios, not times.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sightd.engines.errors import BackendUnavailableError
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.store import ModelStore, default_directory
from sightd.engines.session import Session, Tensor
from sightd.engines.sessions.backends import BackendName, Backends, Precision, Preference, SessionRequest
from sightd.engines.sessions.factories import installed_backends

WAYS: tuple[tuple[BackendName, Precision], ...] = (
    ("onnxruntime", "auto"),
    ("openvino", "auto"),
    ("openvino", "bf16"),
    ("openvino", "fp16"),
    ("onnxruntime-cuda", "auto"),
    ("onnxruntime-cuda", "fp16"),
    ("tensorrt", "auto"),
)
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "asimddp", "bf16", "i8mm")


@dataclass(slots=True)
class Lane:
    """One model on one backend, with the duration of each run in s."""

    model: Model
    session: Session
    seconds: list[float] = field(default_factory=list)

    def turn(self) -> None:
        inputs = _picture(self.model)
        begin = time.perf_counter()
        self.session.run(inputs)
        self.seconds.append(time.perf_counter() - begin)

    @property
    def median(self) -> float:
        return float(np.median(self.seconds[1:]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks; by default all that are stored")
    parser.add_argument("--rounds", type=int, default=30, help="turns of each backend (default: %(default)s)")
    parser.add_argument("--directory", type=Path, default=default_directory(os.environ), help="folder of the networks")
    arguments = parser.parse_args()
    store = ModelStore(arguments.directory)
    catalog = with_custom_models(Catalog.load(), store.directory)
    models = [model for model in catalog if store.find(model) and _wanted(model, arguments.names)]
    if not models:
        print(f"no network is stored in {store.directory}: sightd models fetch ssd-mobilenet-v2", file=sys.stderr)
        return 1
    print(f"one thread, one picture, {arguments.rounds} turns; processor: {' '.join(_processor()) or 'unknown'}\n")
    print(f"{'NETWORK':24} {'BACKEND':17} {'PRECISION':9} {'MS':>7}  TIMES FASTER THAN onnxruntime fp32")
    backends = installed_backends()
    for name in dict.fromkeys(name for name, _ in WAYS):
        if reason := backends.missing(name):
            print(f"{'-':24} {name:17} {reason}")
    for base in sorted({model.name.removesuffix("-int8") for model in models}):
        family = [model for model in models if model.name.removesuffix("-int8") == base]
        _measure(family, store, backends, arguments.rounds)
    return 0


def _wanted(model: Model, names: list[str]) -> bool:
    """Whether this model, or the one it was quantised from, is among the names. Without names, all are."""
    return not names or not {model.name, model.name.removesuffix("-int8")}.isdisjoint(names)


def _measure(family: list[Model], store: ModelStore, backends: Backends, rounds: int) -> None:
    lanes = list(_lanes(family, store, backends))
    for _ in range(rounds + 1):  # the first turn is a warm-up
        for lane in lanes:
            lane.turn()
    reference = lanes[0].median
    for lane in lanes:
        backend = lane.session.backend
        ratio = reference / lane.median
        print(f"{lane.model.name:24} {backend.name:17} {backend.precision:9} {1000 * lane.median:7.1f}  {ratio:.2f}")
        lane.session.close()


def _lanes(family: list[Model], store: ModelStore, backends: Backends) -> Iterator[Lane]:
    for model in family:
        for backend, precision in WAYS:
            if backends.missing(backend):
                continue
            request = SessionRequest(model, store.path(model), threads=1)
            try:
                session, _ = backends.open(request, Preference((backend,), precision))
            except BackendUnavailableError as error:
                if precision == "auto":  # report a missing backend only once
                    print(f"{model.name:24} {str(error).splitlines()[1].strip()}")
                continue
            yield Lane(model, session)


def _picture(model: Model) -> dict[str, Tensor]:
    shape = (1, 3, model.input.height, model.input.width)
    return {model.input.tensor: np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)}


def _processor() -> list[str]:
    """Returns the CPU flags that decide which precisions are fast."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return []
    return [flag for flag in _FLAGS if flag in words]


if __name__ == "__main__":
    sys.exit(main())
