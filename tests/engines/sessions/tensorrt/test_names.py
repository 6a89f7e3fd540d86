"""Every name of TensorRT that we use exists in the real modules, and the differences between them are handled."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sightd.engines.errors import TensorRtUnavailableError
from sightd.engines.sessions.tensorrt import api, names
from tests.support import fake_tensorrt, tensorrt_packages

LOOK = """
import json, sys, warnings
warnings.simplefilter("ignore")
name, wanted = sys.argv[1], json.load(sys.stdin)
module = __import__(name)
gone = []
for path in wanted["names"]:
    thing = module
    for part in path.split("."):
        thing = getattr(thing, part, None)
    if thing is None:
        gone.append(path)
for path in wanted["overridden"]:
    cls, method = path.split(".")
    interface = getattr(module, cls)
    if method not in dir(interface) and f"def {method}(" not in (interface.__doc__ or ""):
        gone.append(path)
print(json.dumps({"version": module.__version__, "gone": gone}))
"""


def members(protocol: type) -> set[str]:
    """Returns attributes and methods that a protocol itself declares."""
    methods = {name for name, value in vars(protocol).items() if inspect.isfunction(value) and not name.startswith("_")}
    return methods | {name for name in inspect.get_annotations(protocol) if name != "__version__"}


def touched(*, rtx: bool) -> list[str]:
    found = sorted(members(api.Module))
    classes = [api.CLASSES, api.RTX_CLASSES] if rtx else [api.CLASSES]
    for known in classes:
        found += [f"{cls}.{name}" for cls, protocol in known.items() for name in sorted(members(protocol))]
    found += [f"{enum}.{name}" for enum, values in api.MEMBERS.items() for name in values]
    return found + (["ComputeCapability.SM75", "ComputeCapability.SM89"] if rtx else [])


def faked() -> list[str]:
    """Returns every public name of the stand-in that other tests use."""
    found = []
    for name in fake_tensorrt.REAL_NAMES:
        found.append(name)
        thing = getattr(fake_tensorrt, name)
        if inspect.isclass(thing) and name not in api.OVERRIDDEN:
            found += [f"{name}.{part}" for part in vars(thing) if not part.startswith("_")]
    return found


def look(environment: Mapping[str, str], module: str, wanted: list[str]) -> dict[str, Any]:
    overridden = [f"{cls}.{method}" for cls, methods in api.OVERRIDDEN.items() for method in methods]
    done = subprocess.run(
        [sys.executable, "-c", LOOK, module],
        input=json.dumps({"names": wanted, "overridden": overridden}),
        env=dict(environment), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("version", ["10.16.1.11", "11.4.0.106"])
def test_every_name_that_we_touch_is_in_the_real_tensorrt(version: str) -> None:
    found = look(tensorrt_packages.bindings(version), "tensorrt", touched(rtx=False) + faked())
    assert found == {"version": version, "gone": []}


def test_every_name_that_we_touch_is_in_the_real_tensorrt_for_rtx() -> None:
    found = look(tensorrt_packages.rtx(), "tensorrt_rtx", touched(rtx=True) + faked())
    assert found == {"version": "1.7.1.116", "gone": []}


def test_a_name_that_does_not_exist_would_be_found() -> None:
    found = look(tensorrt_packages.bindings("11.4.0.106"), "tensorrt", ["BuilderFlag.FP16", "Builder.create_network"])
    assert found["gone"] == ["BuilderFlag.FP16"]


def test_the_list_holds_what_the_code_calls() -> None:
    """A sample: if the collection were broken, the tests above would check nothing."""
    assert {
        "Builder",
        "nptype",
        "IExecutionContext.execute_async_v3",
        "IBuilderConfig.progress_monitor",
        "MemoryPoolType.WORKSPACE",
    } <= set(touched(rtx=False))


def test_every_member_that_the_code_names_is_in_the_list() -> None:
    """mypy checks what is typed by a protocol, but not members of enumerations."""
    found: dict[str, set[str]] = {}
    for path in Path(api.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                found.setdefault(node.value.attr, set()).add(node.attr)
    assert {enum: found[enum] for enum in api.MEMBERS} == {enum: set(known) for enum, known in api.MEMBERS.items()}


def importer(**modules: object) -> Callable[[str], Any]:
    def imported(name: str) -> Any:
        found = modules.get(name)
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if isinstance(found, Exception):
            raise found
        return found

    return imported


def test_where_neither_is_installed_the_reason_names_both_and_what_to_install() -> None:
    reason = names.unavailable(imported=importer())
    assert reason is not None
    assert "TensorRT is not installed: pip install 'tensorrt>=10.12'" in reason
    assert "TensorRT for RTX is not installed: pip install tensorrt-rtx-cu13" in reason


def test_the_first_flavour_that_can_be_imported_is_taken() -> None:
    rtx = types.SimpleNamespace(__version__="1.7.1.116")
    assert names.load(imported=importer(tensorrt_rtx=rtx)).title == "TensorRT for RTX 1.7.1.116"
    both = importer(tensorrt_rtx=rtx, tensorrt=types.SimpleNamespace(__version__="11.4.0.106"))
    assert names.load(imported=both).title == "TensorRT 11.4.0.106"


def test_a_tensorrt_that_is_too_old_is_refused() -> None:
    old = importer(tensorrt=types.SimpleNamespace(__version__="10.9.0.34"))
    with pytest.raises(TensorRtUnavailableError, match=r"10\.9\.0\.34 is too old, at least 10\.12 is required"):
        names.load([names.Flavour.TENSORRT], old)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ImportError("libnvinfer.so.10: cannot open shared object file"), "libnvinfer.so.10: cannot open"),
        (ModuleNotFoundError("No module named 'tensorrt_libs'", name="tensorrt_libs"), "only partly installed"),
        (RuntimeError(), "cannot be imported: RuntimeError"),
    ],
)
def test_a_broken_tensorrt_is_distinguished_from_an_absent_one(fault: Exception, told: str) -> None:
    with pytest.raises(TensorRtUnavailableError, match=told):
        names.load([names.Flavour.TENSORRT], importer(tensorrt=fault))


def test_only_rtx_builds_for_cards_that_are_not_here() -> None:
    config: Any = fake_tensorrt.IBuilderConfig()
    plain = fake_tensorrt.flavoured(names.Flavour.TENSORRT)
    plain.compile_for(config, [])
    with pytest.raises(ValueError, match="builds only for the installed GPU"):
        plain.compile_for(config, [(8, 6)])


def test_a_context_of_rtx_is_asked_whether_it_can_be_captured() -> None:
    class Busy:
        def is_stream_capturable(self, stream: int) -> bool:
            return False

    busy: Any = Busy()
    assert fake_tensorrt.flavoured(names.Flavour.TENSORRT).capturable(busy, 7)
    assert not fake_tensorrt.flavoured(names.Flavour.RTX).capturable(busy, 7)
