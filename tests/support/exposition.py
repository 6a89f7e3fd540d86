"""Samples of a text of metrics."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def samples(text: str, name: str, **labels: str) -> list[Sample]:
    """Those of this name that have these labels. Of the text only their lines are parsed: the whole of it takes so long
    that whoever asks often would be a load himself."""
    lines = [line + "\n" for line in text.splitlines() if re.split("[{ ]", line, maxsplit=1)[0] == name]
    return [
        sample
        for family in text_string_to_metric_families("".join(lines))
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    ]


def total(text: str, name: str, **labels: str) -> float:
    """Their sum; KeyError where there is none."""
    if not (found := samples(text, name, **labels)):
        raise KeyError(f"{name}{labels}")
    return sum(sample.value for sample in found)
