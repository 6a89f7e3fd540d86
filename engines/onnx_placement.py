"""Finds out which operators run on which provider. ONNX Runtime silently assigns unsupported ones to the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnxruntime

RECORD = "session.record_ep_graph_assignment_info"
"""Session option (set to "1") that makes ONNX Runtime record the assignment of operators."""

# fmt: off
_SHAPE_ARITHMETIC = frozenset({
    "Add", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather", "Max", "Min", "Mul",
    "Range", "ReduceProd", "Shape", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where",
})
# fmt: on
"""Shape arithmetic on a few integers, which providers leave to the CPU on purpose."""


def operators_by_provider(session: onnxruntime.InferenceSession) -> dict[str, Counter[str]]:
    """Returns, for each provider, how many operators of each type it runs."""
    found: dict[str, Counter[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        found.setdefault(part.ep_name, Counter()).update(node.op_type for node in part.get_nodes())
    return found


def stray(operators: dict[str, Counter[str]], provider: str) -> list[str]:
    """Returns the operators that run on other providers, such as "3 Conv on CPUExecutionProvider", except shape
    arithmetic."""
    return [
        f"{count} {operator} on {other}"
        for other, counted in sorted(operators.items())
        if other != provider
        for operator, count in _worth_telling(counted.items())
    ]


def _worth_telling(counted: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted((operator, count) for operator, count in counted if operator not in _SHAPE_ARITHMETIC)
