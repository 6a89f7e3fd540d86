"""Parses samples from the Prometheus text format."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def samples(text: str, name: str, **labels: str) -> list[Sample]:
    """Returns the samples with this name and these labels. Parses only their lines: parsing the whole text takes so
    long that frequent polling would be a load by itself."""
    lines = [line + "\n" for line in text.splitlines() if re.split("[{ ]", line, maxsplit=1)[0] == name]
    return [
        sample
        for family in text_string_to_metric_families("".join(lines))
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    ]


def total(text: str, name: str, **labels: str) -> float:
    """Returns the sum of these samples. Raises KeyError if there are none."""
    if not (found := samples(text, name, **labels)):
        raise KeyError(f"{name}{labels}")
    return sum(sample.value for sample in found)
