from __future__ import annotations

from pathlib import Path

import pytest

from sightd.daemon.config.load import LoadedConfig, load, load_text
from sightd.daemon.config.overrides import parse_override
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError, dotted
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import CustomModelMetadata, file_of, put
from tests.support.networks import write_double
from tests.support.stub_plugins import STUBS, FinderConfig

CAMERA = "cameras: {a: {source: 'testpattern://'}}\n"


def loaded(text: str, path: Path = Path("site.yaml"), **environ: str) -> LoadedConfig:
    return load_text(text, path, environ=environ, plugins=STUBS)


def source(loaded: LoadedConfig, camera: str = "a") -> str:
    return loaded.config.cameras[camera].source.get_secret_value()


def test_a_secret_of_an_editor_that_marks_its_files_is_read_without_the_mark(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xef\xbb\xbfpass\r\n")
    found = loaded("cameras: {a: {source: 'rtsp://u:${file:secret}@h/1'}}", tmp_path / "site.yaml")
    assert source(found) == "rtsp://u:pass@h/1"


def test_a_chain_alone_runs_its_plugins_with_their_defaults() -> None:
    found = loaded(CAMERA + "chain: [finder, follower]")
    assert list(found.plugin_configs) == ["finder", "follower"]
    assert found.plugin_configs["finder"] == FinderConfig()


def test_an_entry_of_another_name_is_an_instance_of_what_it_uses() -> None:
    found = loaded(CAMERA + "chain: [parts]\nplugins: {parts: {use: finder, min_score: 0.7}}")
    assert found.plugin_configs["parts"] == FinderConfig(use="finder", min_score=0.7)


def test_top_level_keys_that_begin_with_x_are_a_place_for_anchors() -> None:
    shared = "x-shared: &shared\n  timeout: 5s\n  nonsense: ${env:NOT_READ}\nx-camera: &camera {title: Hall}\nx-none:\n"
    found = loaded(shared + "cameras: {a: {source: 'testpattern://', <<: *camera}}\n")
    assert found.config.cameras["a"].title == "Hall"


@pytest.mark.parametrize("text", [CAMERA + "xshared: 1", CAMERA + "X-shared: 1", CAMERA + "log: {x-shared: 1}"])
def test_no_other_unknown_key_is_taken(text: str) -> None:
    with pytest.raises(ConfigError, match="shared: unknown option"):
        loaded(text)


def test_sections_that_stand_empty_mean_the_defaults() -> None:
    found = loaded(CAMERA + "rtsp:\nrender:\nchain: [finder]\nplugins:\n  finder:\n")
    assert found.config.rtsp.port == 8554


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    text = (
        "cameras: {a: {source: clips/x.mp4}}\nmodels: {directory: m, mirror: ~/mirror}\n"
        "plugins: {finder: {labels: names.txt}}\nchain: [finder]"
    )
    found = loaded(text, tmp_path / "site.yaml", HOME="/home/someone")
    assert source(found) == str(tmp_path / "clips/x.mp4")
    assert found.config.models.directory == tmp_path / "m"
    assert found.config.models.mirror == Path("/home/someone/mirror")
    finder = found.plugin_configs["finder"]
    assert isinstance(finder, FinderConfig)
    assert finder.labels == tmp_path / "names.txt"


def test_addresses_and_devices_stay_as_they_are() -> None:
    found = loaded("cameras: {a: {source: 'rtsp://h/1'}, b: {source: '/dev/video0?input_format=mjpeg'}}")
    assert source(found) == "rtsp://h/1"
    assert source(found, "b") == "/dev/video0?input_format=mjpeg"


def test_anchors_and_merge_keys_are_read_and_own_keys_stand() -> None:
    found = loaded("cameras:\n  a: &x {source: 'rtsp://h/1', loop: false, fps: 5}\n  b: {<<: *x, fps: 9}\n")
    assert (found.config.cameras["b"].loop, found.config.cameras["b"].fps) == (False, 9)


def test_keys_that_yaml_would_turn_into_numbers_or_switches_are_names() -> None:
    found = loaded("cameras: {1: {source: 'rtsp://h/1'}, on: {source: 'rtsp://h/1'}, null: {source: 'rtsp://h/1'}}")
    assert list(found.config.cameras) == ["1", "on", "null"]


def test_a_reference_stands_for_text_numbers_and_switches(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p/w@1\n")
    text = (
        "cameras: {a: {source: 'rtsp://u:${file:secret}@h/${env:WAY}', loop: '${env:OFF}', title: 'a$${b}'}}\n"
        "rtsp: {port: '${env:PORT}', auth: {username: u, password: '${env:PORT}'}}\n"
    )
    found = loaded(text, tmp_path / "site.yaml", WAY="live/1", OFF="false", PORT="9000")
    assert source(found) == "rtsp://u:p%2Fw%401@h/live/1"
    assert found.config.cameras["a"].loop is False
    assert found.config.cameras["a"].title == "a${b}"
    assert found.config.rtsp.port == 9000
    assert found.config.rtsp.auth is not None
    assert found.config.rtsp.auth.password.get_secret_value() == "9000"


def test_warnings_do_not_keep_it_from_running() -> None:
    text = (
        "cameras: {a: {source: /dev/no-such-video}}\nplugins: {finder: {}}\n"
        "rtsp: {host: 0.0.0.0, auth: {username: u, password: p, method: basic}}"
    )
    assert [dotted(warning.path) for warning in loaded(text).warnings] == [
        "rtsp.auth.method",
        "cameras.a.source",
        "plugins.finder",
    ]


TOKEN = "access: {tokens: {wall: {role: view, token: 0123456789-0123456789}}}\n"


def test_a_server_that_others_reach_asks_for_a_token() -> None:
    assert not loaded(CAMERA + "rtsp: {host: localhost}\nhttp: {host: '::1'}").warnings
    assert not loaded(CAMERA + "rtsp: {host: 0.0.0.0, auth: {username: u, password: p}}").warnings
    assert not loaded(CAMERA + TOKEN + "rtsp: {host: 0.0.0.0}").warnings
    assert not loaded(CAMERA + "http: {host: 0.0.0.0, enabled: false}\nrtsp: {host: '::', enabled: false}").warnings


def test_tokens_that_go_readable_over_the_network_are_warned_of() -> None:
    (warning,) = loaded(CAMERA + TOKEN + "http: {host: 0.0.0.0}").warnings
    assert (dotted(warning.path), "clear text" in warning.message) == ("http.host", True)


def test_without_cameras_only_what_an_analysis_needs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("cameras: {a: {source: '${env:NONE}'}}\nchain: [finder]\nrtsp: {port: -1}")
    override = parse_override("finder.min_score=0.01")
    found = load(path, environ={}, plugins=STUBS, overrides=[override], cameras=False)
    assert found.plugin_configs["finder"] == FinderConfig(min_score=0.01)


def test_a_fault_in_an_override_is_reported_as_such() -> None:
    with pytest.raises(ConfigError, match=r"--set: plugins\.finder\.min_score: 5 is above 1"):
        load_text(
            CAMERA + "plugins: {finder: {min_score: 0.5}}",
            Path("site.yaml"),
            environ={},
            plugins=STUBS,
            overrides=[parse_override("finder.min_score=5")],
        )


def test_a_network_made_on_this_machine_may_be_named(tmp_path: Path) -> None:
    base = Catalog.load().get("ssd-mobilenet-v2")
    made = write_double(file_of("ssd-mobilenet-v2-int8", tmp_path).with_name("made.onnx"))
    put(
        base,
        "ssd-mobilenet-v2-int8",
        made,
        CustomModelMetadata(base.name, "0" * 64, "int8", "lost nothing", "today"),
        tmp_path,
    )
    text = f"""
        models: {{directory: {tmp_path}}}
        cameras: {{a: {{source: "testpattern://"}}}}
        chain: [detector]
        plugins: {{detector: {{model: ssd-mobilenet-v2-int8}}}}
    """
    loaded = load_text(text, tmp_path / "sightd.yaml", environ={}, plugins=installed_plugins())
    assert "detector" in loaded.plugin_configs
