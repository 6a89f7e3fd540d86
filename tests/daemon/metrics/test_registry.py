from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families

from sightd.daemon.metrics.camera import CameraMetrics
from sightd.daemon.metrics.registry import Budget, DeviceTransfers, Metrics
from sightd.engines.cuda.stream import TransferCounter
from sightd.plugins.api import MAX_VALUES, Count, CounterSpec, Detections, Faces, GaugeSpec, GaugeValue, PluginError
from sightd.plugins.configuration.declarations import Declarations

LABELS = {
    "camera",
    "kind",
    "store",
    "stage",
    "reason",
    "class",
    "outcome",
    "protocol",
    "plugin",
    "phase",
    "model",
    "backend",
    "server",
    "precision",
    "device",
    "direction",
    "encoder",
    "rule",
}

COUNTERS = (*Detections.metrics, *Faces.metrics, CounterSpec("seen", "Frames on which something was seen."))


GAUGES = (GaugeSpec("seated", "Guests at a table.", "table"), GaugeSpec("temperature_celsius", "Temperature."))


def declared(*counters: CounterSpec, kinds: Iterable[str] = (), gauges: Iterable[GaugeSpec] = ()) -> Declarations:
    return Declarations({spec.name: spec for spec in counters}, frozenset(kinds), {spec.name: spec for spec in gauges})


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), "1.2.3", reconnect_reasons=("timeout", "eof"))


def scrape(metrics: Metrics) -> dict[str, Metric]:
    text = metrics.exposition()[0].decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def busy(metrics: Metrics) -> None:
    camera, plugin = metrics.camera("front"), metrics.plugin("detector")
    plugin.declares(declared(*COUNTERS, kinds=["dwell.long"]))
    camera.count(Count("detections", "person"))
    camera.count(Count("face_matches", "known", 2))
    camera.count(Count("seen"))
    camera.lost("timeout")
    camera.latency.observe(0.05)
    camera.encoder("x264")
    plugin.engine("yolox-tiny", "onnxruntime-cpu", "fp32", "cpu")
    plugin.failed("error")
    plugin.process_resident(2**20)
    plugin.process_used(0.1)
    plugin.process_restarted()


def test_the_core_set_is_there(metrics: Metrics) -> None:
    busy(metrics)
    names = {name.removeprefix("sightd_") for name in scrape(metrics) if name.startswith("sightd_")}
    assert names == {
        "build_info",
        "device_transfer_bytes",
        "source_up",
        "source_last_frame_timestamp_seconds",
        "source_age_seconds",
        "source_reconnects",
        "frames",
        "frames_dropped",
        "frame_latency_seconds",
        "stage_duration_seconds",
        "batch_size",
        "plugin_duration_seconds",
        "plugin_faults",
        "plugin_breaker_state",
        "plugin_process_resident_bytes",
        "plugin_process_cpu_seconds",
        "plugin_process_restarts",
        "engine_info",
        "access_refused",
        "stream_skipped",
        "config_reloads",
        "connections_refused",
        "config_last_reload_successful",
        "events",
        "events_lost",
        "events_suppressed",
        "events_waiting",
        "state_writable",
        "state_free_bytes",
        "state_disk_bytes",
        "delivery_events",
        "delivery_oldest_pending_seconds",
        "delivery_pending",
        "detections",
        "face_matches",
        "seen",
        "stream_clients",
        "stream_slate_active",
        "encoder_active",
        "encoder_info",
        "recording_buffer_bytes",
        "recording_packets_lost",
        "clips",
        "clip_bytes",
        "clip_errors",
        "clips_deleted",
        "clips_stored_bytes",
        "segments",
        "segment_bytes",
        "segment_errors",
        "segments_deleted",
        "segments_stored_bytes",
        "recording_free_bytes",
        "recording_max_bytes",
        "recording_min_free_bytes",
        "snapshots",
        "snapshot_bytes",
        "snapshots_dropped",
        "snapshots_deleted",
        "snapshots_stored_bytes",
    }
    assert {"process_cpu_seconds", "python_info", "python_gc_collections"} <= set(scrape(metrics))


def test_names_and_labels_keep_to_the_rules(metrics: Metrics) -> None:
    busy(metrics)
    for family in scrape(metrics).values():
        if not family.name.startswith("sightd_"):
            continue
        assert family.documentation, family.name
        assert re.fullmatch(r"[a-z_]+", family.name)
        assert not re.search(r"percent|milli|_ms|kbps|fps|_created", family.name)
        assert "duration" not in family.name or family.name.endswith("_seconds")
        assert "latency" not in family.name or family.name.endswith("_seconds")
        for sample in family.samples:
            assert family.type != "counter" or sample.name.endswith("_total")
            assert family.type != "gauge" or not sample.name.endswith("_total")
            assert set(sample.labels) <= LABELS | {"le", "version"}
            assert not any("/" in text or "@" in text for text in sample.labels.values())


def test_known_series_begin_at_nought(metrics: Metrics) -> None:
    metrics.camera("front")
    metrics.plugin("detector")
    assert value(metrics, "sightd_source_reconnects_total", camera="front", reason="eof") == 0
    assert value(metrics, "sightd_frames_total", camera="front", stage="encoded") == 0
    assert value(metrics, "sightd_frames_dropped_total", camera="front", stage="admission", reason="replaced") == 0
    assert value(metrics, "sightd_stream_clients", camera="front", protocol="rtsp") == 0
    assert value(metrics, "sightd_plugin_faults_total", plugin="detector", reason="timeout") == 0
    assert value(metrics, "sightd_stage_duration_seconds_count", stage="encode") == 0


def test_a_removed_camera_leaves_no_series_and_no_late_call_brings_one_back(metrics: Metrics) -> None:
    metrics.camera("back")
    busy(metrics)
    camera = metrics.camera("front")
    metrics.remove_camera("front")
    camera.frames["captured"].inc()
    camera.count(Count("detections", "dog"))
    camera.lost("a_new_reason")
    camera.dropped("capture", "a_new_reason")
    labels = [s.labels.get("camera") for family in scrape(metrics).values() for s in family.samples]
    assert "front" not in labels
    assert "back" in labels
    metrics.remove_camera("front")
    assert value(metrics, "sightd_frames_total", camera="back", stage="captured") == 0
    metrics.camera("front")
    assert value(metrics, "sightd_frames_total", camera="front", stage="captured") == 0


def test_a_removed_plugin_leaves_no_series(metrics: Metrics) -> None:
    busy(metrics)
    metrics.remove_plugin("detector")
    assert not [s for family in scrape(metrics).values() for s in family.samples if "plugin" in s.labels]


def test_a_removed_rule_leaves_no_series_and_what_it_counted_late_is_ignored(metrics: Metrics) -> None:
    metrics.rules.rules(["night", "visitors"])
    assert value(metrics, "sightd_events_suppressed_total", rule="night", reason="active") == 0
    metrics.rules.suppressed("night", "active")
    metrics.rules.rules(["night"])
    assert value(metrics, "sightd_events_suppressed_total", rule="night", reason="active") == 1
    assert value(metrics, "sightd_events_suppressed_total", rule="visitors", reason="active") is None
    metrics.rules.rules([])
    metrics.rules.suppressed("night", "active")
    assert value(metrics, "sightd_events_suppressed_total", rule="night", reason="active") is None


def test_a_thousand_cameras_that_come_and_go_leave_nothing(metrics: Metrics) -> None:
    metrics.plugin("detector").declares(declared(*COUNTERS))
    before = metrics.exposition()[0].count(b"\n")
    for number in range(1000):
        metrics.camera(f"camera-{number}").count(Count("detections", "person"))
        metrics.remove_camera(f"camera-{number}")
    assert metrics.exposition()[0].count(b"\n") == before + 0


def test_classes_beyond_the_bound_are_counted_as_other(metrics: Metrics) -> None:
    camera = metrics.camera("front")
    metrics.plugin("detector").declares(declared(*COUNTERS))
    for number in range(MAX_VALUES + 20):
        camera.count(Count("detections", f"class {number}", 2))
    samples = scrape(metrics)["sightd_detections"].samples
    assert len(samples) == MAX_VALUES + 1
    assert value(metrics, "sightd_detections_total", **{"camera": "front", "class": "other"}) == 40


def test_a_declared_counter_has_its_name_label_and_help(metrics: Metrics) -> None:
    busy(metrics)
    family = scrape(metrics)["sightd_face_matches"]
    assert family.documentation == "Faces on analysed frames, by whether they were identified."
    assert value(metrics, "sightd_face_matches_total", camera="front", outcome="known") == 2
    assert value(metrics, "sightd_seen_total", camera="front") == 1


def test_a_family_is_registered_when_a_plug_in_declares_it(metrics: Metrics) -> None:
    assert "sightd_detections" not in scrape(metrics)
    metrics.plugin("first").declares(declared(*COUNTERS))
    metrics.plugin("second").declares(declared(*COUNTERS))
    assert "sightd_detections" in scrape(metrics)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (CounterSpec("seen", "Something else."), "another type, help text, label or values than plug-in first"),
        (CounterSpec("frames", "Frames."), "sightd_frames_total, which cannot be registered: Duplicated timeseries"),
    ],
)
def test_two_counters_of_one_name_clash(metrics: Metrics, spec: CounterSpec, told: str) -> None:
    metrics.plugin("first").declares(declared(*COUNTERS))
    with pytest.raises(PluginError, match="plug-in second declares the metric") as clash:
        metrics.plugin("second").declares(declared(spec))
    assert told in str(clash.value)
    assert value(metrics, "sightd_frames_total", camera="front", stage="shown") is None


def seated(metrics: Metrics) -> dict[tuple[str, str], float]:
    samples = scrape(metrics)["sightd_seated"].samples
    return {(sample.labels["camera"], sample.labels["table"]): sample.value for sample in samples}


@pytest.fixture
def bar(metrics: Metrics) -> CameraMetrics:
    """A camera that is up, whose plug-in "tables" has measured two tables."""
    metrics.plugin("tables").declares(declared(gauges=GAUGES))
    camera = metrics.camera("bar")
    camera.up(True)
    camera.measured({"tables": (GaugeValue("seated", "oak", 3), GaugeValue("seated", "pine", 0))})
    return camera


def test_a_gauge_has_the_values_of_the_last_analysed_frame_and_no_others(metrics: Metrics, bar: CameraMetrics) -> None:
    assert seated(metrics) == {("bar", "oak"): 3, ("bar", "pine"): 0}
    assert scrape(metrics)["sightd_seated"].type == "gauge"
    bar.measured({"tables": (GaugeValue("seated", "oak", 2), GaugeValue("temperature_celsius", number=-3.5))})
    assert seated(metrics) == {("bar", "oak"): 2}, "the other table is gone"
    assert value(metrics, "sightd_temperature_celsius", camera="bar") == -3.5
    bar.measured({"detector": ()})
    assert seated(metrics) == {("bar", "oak"): 2}, "a frame on which the plug-in did not run changes nothing"


def test_a_gauge_has_no_value_while_the_camera_is_offline(metrics: Metrics, bar: CameraMetrics) -> None:
    bar.up(False)
    assert seated(metrics) == {}
    bar.up(True)
    assert seated(metrics) == {}, "no frame has been analysed yet"
    bar.up(False)
    bar.measured({"tables": (GaugeValue("seated", "oak", 4),)})
    assert seated(metrics) == {}, "the analysis of its last frame ended late"
    bar.up(True)
    assert seated(metrics) == {("bar", "oak"): 4}


def test_a_gauge_has_no_value_while_the_analysis_is_paused(metrics: Metrics, bar: CameraMetrics) -> None:
    bar.analysing(False)
    assert seated(metrics) == {}
    bar.measured({"tables": (GaugeValue("seated", "oak", 4),)})
    assert seated(metrics) == {}, "the analysis of the frame before ended late"
    bar.analysing(True)
    assert seated(metrics) == {("bar", "oak"): 4}
    bar.analysing(False)
    bar.analysing(True)
    assert seated(metrics) == {}


def test_a_gauge_has_no_value_while_the_plug_in_is_disabled_or_once_it_is_removed(
    metrics: Metrics, bar: CameraMetrics
) -> None:
    metrics.plugin("tables").breaker("open")
    assert seated(metrics) == {}
    metrics.plugin("tables").breaker("half-open")
    assert seated(metrics)
    metrics.remove_plugin("tables")
    assert seated(metrics) == {}


def test_a_removed_camera_has_no_gauges(metrics: Metrics, bar: CameraMetrics) -> None:
    metrics.remove_camera("bar")
    bar.measured({"tables": (GaugeValue("seated", "oak", 4),)})
    assert seated(metrics) == {}


def test_of_two_plug_ins_that_set_the_same_gauge_the_later_one_counts(metrics: Metrics, bar: CameraMetrics) -> None:
    metrics.plugin("more tables").declares(declared(gauges=GAUGES))
    bar.measured({"more tables": (GaugeValue("seated", "oak", 9),)})
    assert seated(metrics) == {("bar", "oak"): 9, ("bar", "pine"): 0}, "no series is exported twice"


@pytest.mark.parametrize("name", ["events_waiting", "seen", "seated"])
def test_a_gauge_must_not_have_the_name_of_another_metric(metrics: Metrics, name: str) -> None:
    metrics.plugin("first").declares(declared(*COUNTERS, gauges=GAUGES))
    with pytest.raises(PluginError, match="plug-in second declares the metric sightd_"):
        metrics.plugin("second").declares(declared(gauges=[GaugeSpec(name, "Something else.")]))


def test_an_event_of_a_declared_kind_is_counted(metrics: Metrics) -> None:
    metrics.plugin("dwell").declares(declared(kinds=["dwell.long"]))
    assert value(metrics, "sightd_events_total", kind="dwell.long") == 0
    metrics.events.noted("dwell.long")
    metrics.plugin("dwell").declares(declared(kinds=["dwell.long"]))
    assert value(metrics, "sightd_events_total", kind="dwell.long") == 1
    with pytest.raises(KeyError):
        metrics.events.noted("another.kind")


def test_the_engine_that_runs_is_reported_and_replaces_the_one_before(metrics: Metrics) -> None:
    plugin = metrics.plugin("detector")
    plugin.engine("yolox-tiny", "tensorrt", "fp16", "cuda:0")
    plugin.engine("yolox-tiny", "onnxruntime-cpu", "fp32", "cpu")
    (sample,) = scrape(metrics)["sightd_engine_info"].samples
    assert sample.labels["backend"] == "onnxruntime-cpu"
    assert sample.value == 1


def test_only_the_encoder_that_encodes_now_is_reported(metrics: Metrics) -> None:
    camera = metrics.camera("front")
    for name in ("nvenc", "x264", "x264"):
        camera.encoder(name)
    (sample,) = scrape(metrics)["sightd_encoder_info"].samples
    assert (sample.labels, sample.value) == ({"camera": "front", "encoder": "x264"}, 1)
    metrics.remove_camera("front")
    assert not scrape(metrics)["sightd_encoder_info"].samples


@pytest.mark.parametrize(("state", "expected"), [("closed", 0), ("half-open", 1), ("open", 2)])
def test_the_breakers_state_is_a_number(metrics: Metrics, state: str, expected: float) -> None:
    metrics.plugin("detector").breaker(state)
    assert value(metrics, "sightd_plugin_breaker_state", plugin="detector") == expected


def test_two_daemons_in_one_process_do_not_meet() -> None:
    first, second = (Metrics(CollectorRegistry(), "1") for _ in range(2))
    first.camera("front").frames["captured"].inc()
    assert value(second, "sightd_frames_total", camera="front", stage="captured") is None


def test_what_went_to_the_gpu_and_back_is_reported() -> None:
    counter, registry = TransferCounter(), CollectorRegistry()
    registry.register(DeviceTransfers(lambda: counter))
    counter.add(to_device=7)
    counter.add(to_host=3)
    counter.add(to_device=5)
    name = "sightd_device_transfer_bytes_total"
    assert registry.get_sample_value(name, {"direction": "to_device"}) == 12
    assert registry.get_sample_value(name, {"direction": "to_host"}) == 3


def test_a_machine_without_a_gpu_reports_no_transfers(metrics: Metrics) -> None:
    assert value(metrics, "sightd_device_transfer_bytes_total", direction="to_device") == 0


def test_who_asks_without_end_takes_a_tenth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each text costs 10 ms of CPU time here, and a client requests one every millisecond for five seconds."""
    now, readings = itertools.count(0.0, 0.001), itertools.count()
    monkeypatch.setattr(time, "thread_time", lambda: 0.01 * next(readings))
    metrics = Metrics(CollectorRegistry(), "1.2.3", reconnect_reasons=())
    metrics._budget = Budget(0.1, 0.5, lambda: next(now))
    for _ in range(5000):
        metrics.exposition()
    made = next(readings) // 2  # one reading before and one after each
    assert 98 <= made <= 102, "half a second that was saved up, and half a second in five"


def test_a_format_that_nobody_knows_is_answered_in_one_of_two(metrics: Metrics) -> None:
    asked = (
        f"{kind}; version={version}" for kind in ("application/openmetrics-text", "text/plain") for version in "139"
    )
    assert len({metrics.exposition(accept)[1] for accept in asked}) == 2
