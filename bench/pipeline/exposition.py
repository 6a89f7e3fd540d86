"""The daemon's own counters, read from /metrics."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Counters:
    """All samples of one reading, by name and labels."""

    values: Mapping[Series, float]

    @classmethod
    def parse(cls, text: str) -> Counters:
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    @classmethod
    def read(cls, url: str) -> Counters:
        """Reads the counters from `url`. Raises OSError if the server does not respond."""
        request = urllib.request.Request(url, headers={"Accept": "text/plain"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return cls.parse(answer.read().decode())

    def total(self, name: str, **labels: str) -> float:
        """Returns the sum of all series of that name that have at least these labels."""
        wanted = set(labels.items())
        return sum(value for (series, given), value in self.values.items() if series == name and wanted <= given)

    def since(self, earlier: Counters) -> Counters:
        """Returns how much each counter grew. A series that did not exist before grew from 0."""
        return Counters({series: value - earlier.values.get(series, 0.0) for series, value in self.values.items()})

    def by_labels(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Returns sums of the series of that name by the values of the given labels, without sums of 0."""
        sums: dict[tuple[str, ...], float] = {}
        for given, value in self._named(name):
            key = tuple(given.get(label, "") for label in labels)
            sums[key] = sums.get(key, 0.0) + value
        return {key: value for key, value in sums.items() if value}

    def _named(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        return ((dict(given), value) for (series, given), value in self.values.items() if series == name)
