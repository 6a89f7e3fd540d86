"""`sightd models inspect`: explains what a detector's ONNX file shows, and what to write if it does not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sightd.daemon.cli.output import complain
from sightd.engines.errors import EngineError
from sightd.engines.files import require_regular
from sightd.engines.heads import HEAD_FORMATS
from sightd.engines.model import Model
from sightd.engines.models.custom_file import Stated, described_model, found_in
from sightd.engines.models.label_files import read_class_names
from sightd.engines.models.onnx_file import Shape
from sightd.engines.models.recognise import Recognised
from sightd.engines.text import json_text, printable

_EXAMPLES = """examples:
  sightd models inspect best.onnx
  sightd models inspect best.onnx --labels data.yaml --json

The exit code is 0 if the file and the given options are enough for a configuration, 1 if something is missing.
Nothing is run.
"""


def add(actions: Any) -> None:
    """Declares the action and its arguments."""
    parser = actions.add_parser(
        "inspect",
        help="explain what an ONNX file of a detector contains",
        description="Explains which detector an ONNX file contains, why, and what to write in the configuration.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the ONNX file")
    parser.add_argument("--head", help=f"format of its output, if it is not recognised: {', '.join(HEAD_FORMATS)}")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="file of class names, if the file has none")
    parser.add_argument("--json", action="store_true", help="print JSON")


def inspect(args: argparse.Namespace) -> int:
    """Prints the explanation. Returns 1 if the file cannot be used with what is stated."""
    try:
        require_regular(args.file)
        stated = Stated(args.head, None if args.labels is None else read_class_names(args.labels))
        found = found_in(args.file, stated)
    except (EngineError, OSError) as error:
        return _fail(f"{args.file}: {error.strerror}" if isinstance(error, OSError) else error, as_json=args.json)
    model, problem = None, ""
    try:
        model = described_model(found, stated)
    except EngineError as error:
        problem = str(error)
    if args.json:
        print(json_text(_as_json(found, model, problem, args), indent=2))
    else:
        _print(found, model, problem, args)
    return 1 if problem else 0


def _fail(problem: object, *, as_json: bool) -> int:
    if as_json:
        print(json_text({"usable": False, "problem": str(problem)}, indent=2))
    else:
        complain(problem)
    return 1


def _print(found: Recognised, model: Model | None, problem: str, args: argparse.Namespace) -> None:
    ends = found.content.ends
    lines = [str(found.path)]
    lines += [f"  input     {name} {ends.dtypes[name]} {_shape(shape)}" for name, shape in ends.inputs.items()]
    lines += [f"  output    {name} {_shape(shape)}" for name, shape in ends.outputs.items()]
    if model is not None:
        spec = model.input
        lines += [
            f"  head      {model.head}: {HEAD_FORMATS[model.head].outputs}",
            f"  size      {spec.width}x{spec.height}, {spec.colour}, {spec.resize}, scale {spec.scale:g}, "
            f"mean {list(spec.mean)}, std {list(spec.std)}",
            f"  classes   {len(named := [label for label in model.labels if label])}: {_some(named)}",
        ]
    lines += [f"  because   {reason}" for reason in found.reasons]
    if found.shapes:
        lines.append(f"  finds     {found.shapes}")
    if model is not None and args.labels is None and not (found.metadata and found.metadata.names):
        lines.append("  because   nothing names the classes, and their number is that of COCO")
    if problem:
        lines.append(f"  problem   {problem}")
    lines.append("  write     " + _advice(found, model, args).replace("\n", "\n            "))
    if problem:
        lines += [f"  head      {name}: {one.outputs}" for name, one in HEAD_FORMATS.items() if _is_listed(found, name)]
    print("\n".join(map(printable, "\n".join(lines).split("\n"))))


def _is_listed(found: Recognised, head: str) -> bool:
    """Whether a head is worth describing: one that the file may have, or any if it fits none."""
    possible = {one.head for one in (*found.candidates, *found.near)}
    return head in possible or not possible


def _advice(found: Recognised, model: Model | None, args: argparse.Namespace) -> str:
    """Returns what to write in the configuration of the detector."""
    if model is not None and args.head is None and args.labels is None:
        return f"model: {found.path}"
    possible = list(dict.fromkeys(one.head for one in (*found.candidates, *found.near)))
    lines = [f"file: {found.path}"]
    if args.head is not None or (model is None and len(possible) != 1):
        lines.append(f"head: {args.head or ' or '.join(possible) or 'one of those below'}")
    if args.labels is not None or (model is None and (found.metadata is None or not found.metadata.names)):
        lines.append(f"labels: {args.labels or 'a file of class names, or a list'}")
    return "model:\n  " + "\n  ".join(lines)


def _as_json(found: Recognised, model: Model | None, problem: str, args: argparse.Namespace) -> dict[str, Any]:
    ends = found.content.ends
    known: dict[str, Any] = {
        "file": str(found.path),
        "usable": not problem,
        "inputs": {name: {"shape": shape, "dtype": ends.dtypes[name]} for name, shape in ends.inputs.items()},
        "outputs": dict(ends.outputs),
        "reasons": list(found.reasons),
        "candidates": [one.head for one in found.candidates or found.near],
        "shapes": found.shapes or None,
        "problem": problem or None,
        "write": _advice(found, model, args),
    }
    if model is not None:
        spec = model.input
        known |= {
            "head": model.head,
            "labels": list(model.labels),
            "width": spec.width,
            "height": spec.height,
            "colour": spec.colour,
            "resize": spec.resize,
            "scale": spec.scale,
            "mean": list(spec.mean),
            "std": list(spec.std),
        }
    return known


def _shape(shape: Shape) -> str:
    return f"[{', '.join('?' if axis is None else str(axis) for axis in shape)}]"


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
