"""Which operators of a session a provider really took: ONNX Runtime gives the rest to the CPU without a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnxruntime

RECORD = "session.record_ep_graph_assignment_info"
"""The session option (value "1") without which there is nothing to ask."""

# fmt: off
_SHAPE_ARITHMETIC = frozenset({
    "Add", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather", "Max", "Min", "Mul",
    "Range", "ReduceProd", "Shape", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where",
})
# fmt: on
"""Providers leave sizes to the CPU on purpose: a handful of integers each."""


def placed(session: onnxruntime.InferenceSession) -> dict[str, Counter[str]]:
    """For each provider the types of the operators that it runs, counted."""
    found: dict[str, Counter[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        found.setdefault(part.ep_name, Counter()).update(node.op_type for node in part.get_nodes())
    return found


def stray(operators: dict[str, Counter[str]], provider: str) -> list[str]:
    """What others than `provider` compute of the network itself, as "3 Conv on CPUExecutionProvider"; sizes aside."""
    return [
        f"{count} {operator} on {other}"
        for other, counted in sorted(operators.items())
        if other != provider
        for operator, count in _worth_telling(counted.items())
    ]


def _worth_telling(counted: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted((operator, count) for operator, count in counted if operator not in _SHAPE_ARITHMETIC)
