"""Every kind of error in a file: its position, its message, and its hint."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sightd.daemon.config.load import load, load_text
from sightd.daemon.config.problems import ConfigError, LocatedProblem, dotted
from tests.support.certificates import self_signed, valid_until
from tests.support.stub_plugins import STUBS

CAMERA = "cameras: {a: {source: 'testpattern://'}}\n"

FAULTS = [
    # text, line, column, path, part of the message, part of the hint
    ("cameras: {a: {source: x, outptu: {}}}", 1, 26, "cameras.a.outptu", 'did you mean "output"?', "known options: "),
    (CAMERA + "chian: [finder]", 2, 1, "chian", 'did you mean "chain"?', "known options: "),
    (CAMERA + "zzz: 1", 2, 1, "zzz", "unknown option", "known options: "),
    (
        CAMERA + "plugins: {finder: {min_scroe: 1}}",
        2,
        20,
        "plugins.finder.min_scroe",
        '"min_score"?',
        "known options: ",
    ),
    (CAMERA + "plugins:\n  finder:\n    min_score: 5", 4, 16, "plugins.finder.min_score", "5 is above 1", "or less"),
    (CAMERA + "plugins: {finder: {model: 5}}", 2, 27, "plugins.finder.model", "expected text", "quotes"),
    (CAMERA + "plugins: {x: {use: findr}}", 2, 20, "plugins.x.use", 'did you mean "finder"?', "known plug-ins: "),
    (CAMERA + "plugins: {findr: {}}", 2, 18, "plugins.findr", 'did you mean "finder"?', "known plug-ins: "),
    (CAMERA + "plugins: {finder: 5}", 2, 19, "plugins.finder", "expected a mapping", "option: value"),
    (CAMERA + "plugins: {broken: {every: 2}}", 2, 19, "plugins.broken", "KeyError in Broken.Config", "author"),
    (CAMERA + "chain: [findr]", 2, 9, "chain[0]", 'did you mean "finder"?', "known plug-ins: "),
    (CAMERA + "chain: [follower, finder]", 2, 8, "chain", "follower requires Detections", ""),
    (CAMERA + "chain: [finder, finder]", 2, 17, "chain[1]", "twice", "`use`"),
    (CAMERA + "chain: [uploader]", 2, 9, "chain[0]", "has required options", "key"),
    (CAMERA + "chain: finder", 2, 8, "chain", "expected a list", "[one, two]"),
    ("cameras: {a: {source: x, chain: [finder, 5]}}", 1, 42, "cameras.a.chain[1]", "expected text", "quotes"),
    ("cameras: {a: {title: x}}", 1, 11, "cameras.a.source", "is missing", "source: rtsp://user:${env:"),
    ("cameras: {a: rtsp://x}", 1, 14, "cameras.a", "expected a mapping", "option: value"),
    ("cameras: {a: }", 1, 13, "cameras.a", "is empty", "option: value"),
    ("cameras: {Front Door: {source: x}}", 1, 11, 'cameras."Front Door"', "is not a valid name", "lower-case"),
    ("cameras: {a: {source: ''}}", 1, 23, "cameras.a.source", "is empty", "rtsp://"),
    ("cameras: {a: {source: 'gopher://x'}}", 1, 23, "cameras.a.source", "unknown kind of address", "rtsp://"),
    ("cameras: {a: {source: 'rtsp:///x'}}", 1, 23, "cameras.a.source", "has no host", "HOST"),
    (
        "cameras: {a: {source: 'rtsp://u:pw@host:port/x'}}",
        1,
        23,
        "cameras.a.source",
        "cannot be used",
        "no valid host and port",
    ),
    ("cameras: {a: {source: '/dev/video0?form=x'}}", 1, 23, "cameras.a.source", "cannot be used", "input_format"),
    (
        "cameras: {a: {source: 'rtsp://h:70000/x'}}",
        1,
        23,
        "cameras.a.source",
        "cannot be used",
        "no valid host and port",
    ),
    ("cameras: {a: {source: 'testpatern://'}}", 1, 23, "cameras.a.source", 'did you mean "testpattern"?', "rtsp://"),
    ("cameras: {a: {source: 'file:///'}}", 1, 23, "cameras.a.source", "is a directory", "file"),
    (
        CAMERA + "plugins: {picky: {max_memory: 1GiB}}",
        2,
        31,
        "plugins.picky.max_memory",
        "only to a plug-in in its own process",
        "add",
    ),
    (CAMERA + "plugins: {picky: {isolate: true, max_memory: 0}}", 2, 46, "plugins.picky.max_memory", "is zero", "size"),
    (CAMERA + "plugins: {picky: {word: no}}", 2, 25, "plugins.picky.word", "no is refused", "write another word"),
    (CAMERA + "plugins: {picky: {words: [a, no]}}", 2, 30, "plugins.picky.words[1]", "no is refused", "another"),
    (CAMERA + "plugins: {picky: {word: fail}}", 2, 18, "plugins.picky", "KeyError in PickyConfig.problems", "author"),
    ("cameras: {a: {source: /dev/video0, width: 9999}}", 1, 43, "cameras.a.width", "9999", "8192"),
    (
        "cameras: {a: {source: /dev/video0, width: 640}}",
        1,
        23,
        "cameras.a.source",
        "cannot be used",
        "width and height",
    ),
    ("cameras: {a: {source: x, timeout: 0}}", 1, 35, "cameras.a.timeout", "greater than zero", "timeout: 3s"),
    (
        "cameras: {a: {source: x, reconnect: {initial_delay: 0s}}}",
        1,
        53,
        "cameras.a.reconnect.initial_delay",
        "greater than zero",
        "500ms",
    ),
    (
        "cameras: {a: {source: x, reconnect: {initial_delay: 10s, max_delay: 1s}}}",
        1,
        53,
        "cameras.a.reconnect.initial_delay",
        "initial_delay (10 s) is greater than max_delay (1 s)",
        "max_delay: 10s",
    ),
    (
        "cameras: {a: {source: x, reconnect: {initial_delay: 10s}}}",
        1,
        53,
        "cameras.a.reconnect.initial_delay",
        "max_delay (8 s)",
        "10s",
    ),
    ("cameras: {a: {source: /}}", 1, 23, "cameras.a.source", "is a directory", "file"),
    ("cameras: {a: {source: x, enabled: false}}", 1, 10, "cameras", "every camera is disabled", "enabled: true"),
    ("cameras: {a: {source: x, transport: tpc}}", 1, 37, "cameras.a.transport", '"tcp"?', "tcp, udp"),
    ("cameras: {a: {source: x, timeout: 3}}", 1, 35, "cameras.a.timeout", "wrong format", '"2s"'),
    ("cameras: {a: {source: x, loop: yes}}", 1, 32, "cameras.a.loop", "true or false", "yes, no, on and off"),
    ("cameras: {a: {source: x, width: 0x10}}", 1, 33, "cameras.a.width", "whole number", "leading zeros"),
    ("cameras: {a: {source: x, width: 10.5}}", 1, 33, "cameras.a.width", "10.5", "whole number"),
    ("cameras: {a: {source: x, title: 2024}}", 1, 33, "cameras.a.title", "expected text", "quotes"),
    ("cameras: {a: {source: x, output: {crf: 99}}}", 1, 40, "cameras.a.output.crf", "99 is above 51", "51 or less"),
    ("", 1, 1, "cameras", "there is no camera", "cameras: {test: {source: testpattern://}}"),
    ("[1, 2]", 1, 1, "", "must be a mapping", "cameras:"),
    (CAMERA + "version: 2", 2, 10, "version", "2 is not a known value", "write 1"),
    (CAMERA + "rtsp: {port: 70000}", 2, 14, "rtsp.port", "70000 is above 65535", "or less"),
    (CAMERA + "rtsp: {port: 0900}", 2, 14, "rtsp.port", "whole number", "port: 8554"),
    (CAMERA + "rtsp: {port: 1:30}", 2, 14, "rtsp.port", "whole number", "port: 8554"),
    (CAMERA + "rtsp: {port: 8080}", 1, 1, "http.port", "also the port of rtsp", "another"),
    (CAMERA + "render: {min_score: .nan}", 2, 21, "render.min_score", "expected a number", "min_score: 0.4"),
    (CAMERA + "models: {max_download: 5}", 2, 24, "models.max_download", "wrong format", "MiB"),
    (CAMERA + "rtsp: {tls: {certificate: /proc/version, key: no.pem}}", 2, 47, "rtsp.tls.key", "cannot read", "path"),
    (
        CAMERA + "http: {tls: {certificate: /proc/version, key: no.pem}}",
        2,
        27,
        "http.tls.certificate",
        "not a PEM file",
        "openssl",
    ),
    (CAMERA + "rtsp: {host: 0.0.0.0}", 2, 14, "rtsp.host", "anyone on the network", "rtsp.auth"),
    (CAMERA + "http: {host: 192.0.2.1}", 2, 14, "http.host", "could see everything", "sightd token"),
    (CAMERA + "http: {proxies: [nginx]}", 2, 18, "http.proxies[0]", "is not an IP address", "10.0.0.0/8"),
    (
        CAMERA + "access: {proxy: {header: X-User, users: {ada: admin}}}",
        2,
        17,
        "access.proxy",
        "names no proxy",
        "http: {proxies",
    ),
    (
        CAMERA + "http: {proxies: [127.0.0.1]}\naccess: {proxy: {header: Cookie, default_role: view}}",
        3,
        26,
        "access.proxy.header",
        "another purpose",
        "names the user",
    ),
    (
        CAMERA + "http: {proxies: [127.0.0.1]}\naccess: {proxy: {header: X-User, groups: {a: view}}}",
        3,
        42,
        "access.proxy.groups",
        "without groups_header",
        "lists the groups",
    ),
    (
        CAMERA + "http: {proxies: [127.0.0.1]}\naccess: {proxy: {header: X-User}}",
        3,
        17,
        "access.proxy",
        "gives nobody a role",
        "default_role",
    ),
    (
        CAMERA
        + "access: {oidc: {issuer: 'http://id.example', client_id: a, external_url: 'https://a', roles: {b: view}}}",
        2,
        25,
        "access.oidc.issuer",
        "must be https",
        "https://HOST",
    ),
    (
        CAMERA + "access: {oidc: {issuer: 'https://i', client_id: a, external_url: 'https://u:p@a', roles: {b: view}}}",
        2,
        66,
        "access.oidc.external_url",
        "no user",
        "https://HOST",
    ),
    (
        CAMERA + "access: {oidc: {issuer: 'https://id', client_id: a, external_url: 'https://a'}}",
        2,
        16,
        "access.oidc",
        "gives nobody a role",
        "default_role",
    ),
    (
        CAMERA + "access: {tokens: {a: {role: view, token: ÄäÖöÜüßÄäÖöÜüßÄäÖöÜü}}}",
        2,
        42,
        "access.tokens.a.token",
        "cannot be sent",
        "sightd token",
    ),
    (
        CAMERA + "access: {tokens: {a: {role: view, token: short}}}",
        2,
        42,
        "access.tokens.a.token",
        "too short",
        "20 characters",
    ),
    (
        CAMERA + "access: {tokens: {a: {role: root, token: 0123456789-0123456789}}}",
        2,
        29,
        "access.tokens.a.role",
        "root",
        "admin",
    ),
    (
        CAMERA + "access: {tokens: {a: &a {role: view, token: 0123456789-0123456789}, b: *a}}",
        2,
        45,
        "access.tokens.b.token",
        "is the same as the token of a",
        "sightd token",
    ),
    (
        CAMERA + "access: {tokens: {a: {role: view, token: 0123456789-0123456789}}}\n"
        "rtsp: {auth: {username: a, password: hidden}}",
        3,
        25,
        "rtsp.auth.username",
        "also the name of a token",
        "another name",
    ),
    (CAMERA + "rtsp: {auth: {username: u, password: ''}}", 2, 38, "rtsp.auth.password", "is empty", "${env:"),
    (CAMERA + "rtsp: {auth: {username: u, password: 1234}}", 2, 38, "rtsp.auth.password", "expected text", "quotes"),
    ("cameras: {a: {source: '${env:NONE}'}}", 1, 23, "cameras.a.source", "NONE is not set", "set NONE"),
    ("cameras: {a: {source: '${file:none}'}}", 1, 23, "cameras.a.source", "cannot read the file", "create it"),
    ("cameras: {a: {source: '${file:/dev/zero}'}}", 1, 23, "cameras.a.source", "a character device", "create it"),
    ("cameras: {a: {source: '${file:/proc/kallsyms}'}}", 1, 23, "cameras.a.source", "larger than 64 KiB", "short"),
    (CAMERA + "http: {tls: {certificate: /dev/zero, key: no.pem}}", 2, 27, "http.tls.certificate", "device", "path"),
    ("cameras: {a: {source: '${env:EMPTY}'}}", 1, 23, "cameras.a.source", "variable EMPTY is empty", "set EMPTY"),
    ("cameras: {a: {source: 'rtsp://u:${env:EMPTY}@h'}}", 1, 23, "cameras.a.source", "variable EMPTY is empty", "set"),
    ("cameras: {a: {source: '${vault:x}'}}", 1, 23, "cameras.a.source", "unknown kind of reference", "${env:NAME}"),
    ("cameras: {a: {source: '${env:X'}}", 1, 23, "cameras.a.source", "unknown kind of reference", "$${"),
    (CAMERA + "rtsp: {port: '${env:WORD}'}", 2, 14, "rtsp.port", "its reference resolves to text", "whole number"),
    (CAMERA + "log: {level: info}\nlog: {level: info}", 3, 1, "log", "first at line 2, column 1", "keep one"),
    (CAMERA + "log:\n\tlevel: info", 3, 1, "", "a tab", "indent with spaces"),
    (CAMERA + "log: a: b", 2, 7, "", '":"', "indentation"),
    (CAMERA + "log: *none", 2, 6, "", "no anchor", 'begins with "*"'),
    (CAMERA + "log: @x", 2, 6, "", "cannot begin", "quotes"),
    (CAMERA + "log: !mine {}", 2, 6, "log", "tags", 'begins with "!"'),
    (CAMERA + "log: !!python/object/apply:os.getcwd []", 2, 6, "log", "tags are not supported", "remove the tag"),
    (CAMERA + "log: !!int x", 2, 6, "log", "does not fit", "remove the tag"),
    (CAMERA + "log: 'x", 2, 8, "", "a quote is not closed", "close"),
    (CAMERA + "log: [x", 2, 8, "", "not closed", "[one, two]"),
    (CAMERA + 'log: "\\q"', 2, 8, "", "escape", "backslash"),
    (CAMERA + 'log: "\\UFFFFFFFF"', 1, 1, "", "not valid YAML", ""),
    (CAMERA + 'log: {level: "\\ud800"}', 2, 14, "log.level", "control character", "control"),
    (CAMERA + "log: \x07", 2, 6, "", "not allowed", "delete"),
    (CAMERA + "---\nlog: {}", 2, 1, "", "second document", "one configuration"),
    (CAMERA + "? [a]\n: b", 2, 3, "", "a key must be plain text", "key: value"),
    (CAMERA + "log: &a [*a]", 2, 6, "log[0]", "alias to itself", "values out"),
    (CAMERA + "x: " + "[" * 40 + "]" * 40, 2, 23, "", "nested more than", "bracket"),
    (CAMERA + "log:\n  <<: 5", 3, 7, "log", "alias of a mapping", "<<: *name"),
]


def problems_of(text: str) -> tuple[LocatedProblem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, Path("site.yaml"), environ={"WORD": "abc", "EMPTY": ""}, plugins=STUBS)
    return caught.value.problems


@pytest.mark.parametrize(("text", "line", "column", "path", "message", "hint"), FAULTS, ids=[row[0] for row in FAULTS])
def test_a_fault_is_reported_with_its_position_and_fix(
    text: str, line: int, column: int, path: str, message: str, hint: str
) -> None:
    found = [problem for problem in problems_of(text) if message in problem.message]
    assert [(item.line, item.column, dotted(item.path)) for item in found] == [(line, column, path)]
    assert hint in found[0].hint
    assert str(found[0]).startswith(f"site.yaml:{line}:{column}: ")


def test_all_faults_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = (
        "cameras:\n  a:\n    sourc: x\n    loop: 5\nchain: [findr]\nhttp: {port: x}\nplugins: {follower: {every: 0}}\n"
    )
    assert [(item.line, dotted(item.path)) for item in problems_of(text)] == [
        (2, "cameras.a.source"),
        (3, "cameras.a.sourc"),
        (4, "cameras.a.loop"),
        (5, "chain[0]"),
        (6, "http.port"),
        (7, "plugins.follower.every"),
    ]


def test_a_fault_of_one_option_does_not_hide_those_that_show_only_in_the_whole() -> None:
    text = (
        "cameras:\n  a: {source: 'ftp://h/x', timeout: 3}\n  b: {source: 'rtsp:///x'}\n"
        "plugins:\n  picky: {word: no}\nhttp: {port: 0}\nrtsp: {auth: {username: u, password: ''}}\nchian: []\n"
    )
    assert [(item.line, dotted(item.path)) for item in problems_of(text)] == [
        (2, "cameras.a.source"),
        (2, "cameras.a.timeout"),
        (3, "cameras.b.source"),
        (5, "plugins.picky.word"),
        (7, "rtsp.auth.password"),
        (8, "chian"),
    ]


def test_an_invalid_name_does_not_hide_the_faults_below_it() -> None:
    text = (
        "cameras:\n  Front Door:\n    source: 'ftp://h/x'\n    timeout: 3\n"
        "    reconnect: {initial_delay: 10s, max_delay: 1s}\n    chain: [findr]\n"
    )
    assert [(item.line, dotted(item.path)) for item in problems_of(text)] == [
        (2, 'cameras."Front Door"'),
        (3, 'cameras."Front Door".source'),
        (4, 'cameras."Front Door".timeout'),
        (5, 'cameras."Front Door".reconnect.initial_delay'),
        (6, 'cameras."Front Door".chain[0]'),
    ]


def test_an_invalid_option_of_a_plug_in_does_not_hide_what_its_own_check_finds() -> None:
    text = CAMERA + "plugins:\n  picky:\n    every: 0\n    words: [a, no]\n  Bad Name:\n    use: picky\n    word: no\n"
    assert [(item.line, dotted(item.path)) for item in problems_of(text)] == [
        (4, "plugins.picky.every"),
        (5, "plugins.picky.words[1]"),
        (6, 'plugins."Bad Name"'),
        (8, 'plugins."Bad Name".word'),
    ]


def test_an_invalid_option_of_a_server_does_not_hide_that_it_is_open_to_the_network() -> None:
    text = CAMERA + "rtsp: {host: 0.0.0.0, max_connections: 0}\nhttp: {host: 0.0.0.0, max_viewers: 0}"
    assert [(item.line, dotted(item.path)) for item in problems_of(text)] == [
        (2, "rtsp.host"),
        (2, "rtsp.max_connections"),
        (3, "http.host"),
        (3, "http.max_viewers"),
    ]


@pytest.mark.parametrize("order", ["{max_delay: 100ms}", "{initial_delay: 1s, max_delay: 1s}", "{initial_delay: 2s}"])
def test_an_order_of_waits_that_makes_sense_is_accepted(order: str) -> None:
    text = f"cameras: {{a: {{source: 'testpattern://', reconnect: {order}}}}}"
    assert load_text(text, Path("site.yaml"), environ={}, plugins=STUBS).config.cameras


def test_allowed_hosts_of_a_source_that_is_not_read_over_http_are_warned_of() -> None:
    text = "cameras: {a: {source: 'rtsp://h/x', allowed_hosts: [cdn.lan]}, b: {source: 'http://h', allowed_hosts: [c]}}"
    (warning,) = load_text(text, Path("site.yaml"), environ={}, plugins=STUBS).warnings
    assert (dotted(warning.path), "no effect" in warning.message) == ("cameras.a.allowed_hosts", True)


def test_a_limit_that_a_lower_one_makes_ineffective_is_warned_of() -> None:
    text = CAMERA + "rtsp: {max_connections: 8, max_connections_per_address: 9}\nhttp: {max_connections: 8}"
    (warning,) = load_text(text, Path("site.yaml"), environ={}, plugins=STUBS).warnings
    assert (warning.line, dotted(warning.path)) == (2, "rtsp.max_connections_per_address")
    assert "max_connections is 8" in warning.message


@pytest.mark.parametrize(
    "text",
    [
        "cameras: {a: {source: x, reconnect: {initial_delay: 10s, max_delay: 5}}}",
        CAMERA + "rtsp: {host: 0.0.0.0}\naccess: {tokens: {a: {role: view, token: x}}}",
        "cameras: {a: {source: 'testpattern://'}}\nhttp: {host: 0.0.0.0, enabled: no}",
        "cameras: {a: {source: /dev/video0, width: no, height: 480}}",
        "cameras: {a: {sorce: x}}\nrtsp: {port: x}\nhttp: {port: 8554}",
        "cameras: {a: {source: 'testpattern://', chain: [finder, 5]}}\nplugins: {finder: {}}",
    ],
)
def test_what_was_left_out_for_its_fault_makes_no_further_faults(text: str) -> None:
    own = {
        "cameras.a.reconnect.max_delay",
        "access.tokens.a.token",
        "http.enabled",
        "cameras.a.width",
        "cameras.a.source",
        "cameras.a.sorce",
        "rtsp.port",
        "cameras.a.chain[1]",
    }
    assert {dotted(problem.path) for problem in problems_of(text)} <= own


def test_warnings_are_reported_beside_faults() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("cameras: {a: {source: none.mp4}}\nlog: {level: x}", Path("s.yaml"), environ={}, plugins=STUBS)
    assert [dotted(warning.path) for warning in caught.value.warnings] == ["cameras.a.source"]
    assert str(caught.value).splitlines()[-2].startswith("warning: s.yaml:1:23: cameras.a.source: no such file")


def test_a_file_of_many_aliases_is_refused_before_it_grows() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    text = "\n".join(["a0: &a0 [x]", *levels])
    assert any("larger than 20000 values" in problem.message for problem in problems_of(text))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [" + "b," * 300_000 + "]", "more than 50000 keys and values"),
        ("x:\n" + " a: 1\n" * 100_000, "more than 50000 keys and values"),
        ("a: {<<: [" + "1," * 100_000 + "]}", "more than 50000 keys and values"),
        (
            "a: &a {" + ",".join(f"k{n}: 1" for n in range(3000)) + "}\nb: {<<: [" + "*a," * 3000 + "]}",
            "<< stands for more than 200000 pairs",
        ),
    ],
    ids=["list", "keys", "merge", "merges"],
)
def test_a_file_of_many_values_is_refused_before_it_is_read_to_its_end(text: str, told: str) -> None:
    (problem,) = [problem for problem in problems_of(text) if told in problem.message]
    assert problem.line >= 1


def test_a_file_that_is_not_there_too_large_or_no_text_is_reported(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_bytes(b"#" * (2**20 + 1))
    binary.write_bytes(b"a: 1\nb: \xff\n")
    for path, told in ((tmp_path / "none.yaml", "cannot be read"), (large, "1 MiB"), (binary, ":2:1: this line")):
        with pytest.raises(ConfigError, match=told):
            load(path, environ={}, plugins=STUBS)


@pytest.mark.timeout(10)
def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="a named pipe, not a regular file"):
        load(pipe, environ={}, plugins=STUBS)
    for text in (
        "cameras: {a: {source: '${file:pipe}'}}",
        CAMERA + "http: {tls: {certificate: pipe, key: pipe}}",
    ):
        with pytest.raises(ConfigError, match="a named pipe, not a regular file"):
            load_text(text, tmp_path / "site.yaml", environ={}, plugins=STUBS)


@pytest.mark.parametrize("content", ["", "\n", "\ufeff\r\n"])
def test_an_empty_file_is_not_an_empty_password(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content)
    text = CAMERA + "access:\n  tokens:\n    wall: {role: view, token: '${file:secret}'}\n"
    with pytest.raises(ConfigError, match=r"site\.yaml:4:31: access\.tokens\.wall\.token: the file .*secret is empty"):
        load_text(text, tmp_path / "site.yaml", environ={}, plugins=STUBS)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("server", ["http", "rtsp"])
@pytest.mark.parametrize("fault", ["encrypted", "of another certificate", "cut off"])
def test_a_key_that_a_server_cannot_use_is_refused_and_no_passphrase_is_asked_for(
    fault: str, server: str, tmp_path: Path
) -> None:
    pair = self_signed(tmp_path)
    key = Path(pair["key"])
    text = CAMERA + f"{server}: {{tls: {{certificate: certificate.pem, key: key.pem}}}}"
    load_text(text, tmp_path / "site.yaml", environ={}, plugins=STUBS)
    if fault == "encrypted":
        command = ["openssl", "rsa", "-aes128", "-passout", "pass:word", "-in", str(key), "-out", str(key)]
        subprocess.run(command, check=True, capture_output=True)
        message, hint = f"{server}.tls.key: is encrypted with a passphrase", "openssl pkey"
    elif fault == "cut off":
        key.write_bytes(key.read_bytes()[:400])
        message, hint = f"{server}.tls.certificate: cannot be used with the key", "whole PEM files"
    else:
        other = tmp_path / "other"
        other.mkdir()
        key.write_bytes(Path(self_signed(other)["key"]).read_bytes())
        message, hint = f"{server}.tls.key: does not belong to the certificate", "the certificate was made for"
    with pytest.raises(ConfigError) as refused:
        load_text(text, tmp_path / "site.yaml", environ={}, plugins=STUBS)
    assert message in str(refused.value)
    assert hint in str(refused.value)


@pytest.mark.parametrize("server", ["http", "rtsp"])
@pytest.mark.parametrize(
    ("left", "message"),
    [
        (timedelta(minutes=-5), "expired on "),
        (timedelta(days=3, minutes=-5), "in less than 3 d"),
        (timedelta(days=14, minutes=-5), "in less than 14 d"),
        (timedelta(days=14, minutes=5), None),
    ],
)
def test_a_certificate_that_has_expired_or_soon_will_is_warned_of(
    left: timedelta, message: str | None, server: str, tmp_path: Path
) -> None:
    valid_until(datetime.now(UTC) + left, self_signed(tmp_path))
    text = CAMERA + f"{server}: {{tls: {{certificate: certificate.pem, key: key.pem}}}}"
    warnings = load_text(text, tmp_path / "site.yaml", environ={}, plugins=STUBS).warnings
    if message is None:
        assert warnings == ()
        return
    (warning,) = warnings
    assert (warning.line, dotted(warning.path)) == (2, f"{server}.tls.certificate")
    assert message in warning.message
    assert "sightd reload" in warning.hint
    disabled = text.replace("{tls:", "{enabled: false, tls:")
    assert load_text(disabled, tmp_path / "site.yaml", environ={}, plugins=STUBS).warnings == ()


@pytest.mark.timeout(10)
def test_a_source_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source, kind in (("pipe", "a named pipe"), ("/dev/zero", "a character device"), (".", "a directory")):
        with pytest.raises(ConfigError) as refused:
            load_text(f"cameras: {{a: {{source: {source}}}}}", tmp_path / "s.yaml", environ={}, plugins=STUBS)
        (problem,) = refused.value.problems
        assert (problem.line, dotted(problem.path), problem.message) == (1, "cameras.a.source", f"is {kind}")


def test_a_value_with_terminal_escapes_is_escaped_in_what_is_said(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text('cameras: {a: {source: "testpattern://", "x\\u202ey": 1}}\n')
    with pytest.raises(ConfigError) as refused:
        load(file, environ={}, plugins=STUBS)
    assert all(line.isprintable() for line in str(refused.value).split("\n"))
    assert "202e" in str(refused.value)
