"""Bytes copied between host and GPUs, read from the driver on each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily

from sightd.engines.cuda.transfers import TransferCounter


class DeviceTransfers:
    """A Prometheus collector. Excludes copies by ONNX Runtime itself if images are prepared on the CPU."""

    def __init__(self, transferred: Callable[[], TransferCounter]) -> None:
        self._transferred = transferred

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "sightd_device_transfer_bytes", "Bytes copied between host and GPUs.", labels=["direction"]
        )
        counter = self._transferred()
        family.add_metric(["to_device"], counter.bytes_to_device)
        family.add_metric(["to_host"], counter.bytes_to_host)
        yield family
