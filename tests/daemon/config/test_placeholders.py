"""A configuration file is shown without its secrets, and what is sent back has them again, but only at their place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightd.daemon.config.placeholders import StoredText, shown_comment
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.config.yaml import YamlSyntaxError, parse
from tests.daemon.config.examples import EXAMPLES

CANARY = "Kanari3nvogel"
ME = "    me: {role: admin, token: *shared}"
TEXT = f"""\
# was: rtsp://admin:{CANARY}@10.0.0.9/x
x-shared: &shared {CANARY}{CANARY}
cameras:
  front: {{source: "rtsp://admin:{CANARY}@10.0.0.7/s", title: 'Front # door'}}  # password: {CANARY}
  back:
    source: rtsp://admin:${{env:BACK}}@10.0.0.7/s
    chain: [ detector,tracker ]
  file: {{source: films/a.mp4}}
access:
  tokens:
    me: {{role: admin, token: *shared}}
    you: {{role: admin, token: "${{file:/run/you}}"}}
delivery:
  sinks:
    hook:
      type: webhook
      url: https://hooks.example.com/{CANARY}
      headers: {{Authorization: "Bearer ${{env:HOOK}}", X-Key: '{CANARY}'}}
    mail: {{type: notify, urls: ["mailtos://me:{CANARY}@example.com"]}}
    bus: {{type: mqtt, host: broker, username: me, password: {CANARY}}}
rtsp:
  auth:
    username: me
    password: >
      {CANARY}
plugins:
  unknown: {{anything: {CANARY}}}
  describe: {{url: "http://10.0.0.5/v1", token: {CANARY}}}
  detector: {{sise: {CANARY}, min_score: 0.4}}
"""
FOLDED = f">\n      {CANARY}\n"


def stored(text: str = TEXT) -> StoredText:
    return StoredText(text, installed_plugins())


def test_no_secret_is_shown_and_all_else_is() -> None:
    text = stored().shown
    assert CANARY not in text
    for part in (
        "# was: rtsp://***@10.0.0.9/x",
        "title: 'Front # door'}  # password: ***",
        "source: rtsp://admin:${env:BACK}@10.0.0.7/s\n    chain: [ detector,tracker ]",
        "films/a.mp4",
        'x-shared: &shared "***"',
        "token: *shared",
        "${file:/run/you}",
        '"Bearer ${env:HOOK}"',
        "host: broker, username: me",
        "min_score: 0.4",
    ):
        assert part in text
    assert CANARY not in str(stored().values)


def test_what_was_shown_comes_back_as_it_was_written() -> None:
    one = stored()
    expected = TEXT.replace(FOLDED, f'"{CANARY}\\n"\n')
    assert one.restored(one.shown, "site.yaml") == expected


def test_other_parts_can_be_edited_and_comments_removed() -> None:
    one = stored()
    edited = one.shown.replace("'Front # door'", "Gate").replace("# was: rtsp://***@10.0.0.9/x\n", "")
    restored = one.restored(edited, "site.yaml")
    assert f'source: "rtsp://admin:{CANARY}@10.0.0.7/s", title: Gate' in restored
    assert "10.0.0.9" not in restored


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("  front:", "  gate:", "cameras.gate.source"),
        ("10.0.0.7/s\"", "10.0.0.8/s\"", "cameras.front.source"),
        ("title: 'Front # door'", "title: 'Front', output: {x: *shared}", "x-shared"),
        (ME, f"{ME}\n    b: {{role: view, token: *shared}}", "x-shared"),
        ("host: broker", "host: other", "delivery.sinks.bus.password"),
        ("url: \"***\"", "url: https://elsewhere.example.com", "delivery.sinks.hook.headers.X-Key"),
        ("10.0.0.5", "10.0.0.6", "plugins.describe.token"),
        ("films/a.mp4", "rtsp://***@10.0.0.7/s", "cameras.file.source"),
        ("password: \"***\"}", "password: \"x***\"}", "delivery.sinks.bus.password"),
    ],
)  # fmt: skip
def test_a_placeholder_elsewhere_or_for_another_receiver_is_refused(before: str, after: str, path: str) -> None:
    one = stored()
    assert before in one.shown
    with pytest.raises(ConfigError) as refused:
        one.restored(one.shown.replace(before, after), "site.yaml")
    assert path in str(refused.value)
    assert "write the secret again" in str(refused.value)
    assert CANARY not in str(refused.value)


def test_asterisks_in_other_texts_are_left_alone() -> None:
    one = stored("cameras: {a: {source: 'testpattern://', title: '***'}}")
    assert one.shown == one.text
    assert "title: 'a***'" in one.restored(one.text.replace("'***'", "'a***'"), "site.yaml")


def test_a_text_that_is_not_yaml_is_not_shown() -> None:
    with pytest.raises(YamlSyntaxError):
        stored("cameras: {a: [}")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_can_be_shown_and_sent_back(path: object) -> None:
    text = path.read_text()  # type: ignore[attr-defined]
    one = stored(text)
    assert one.restored(one.shown, "site.yaml") == text


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# token: abc", "# token: ***"),
        ("# token: ${env:TOKEN}", "# token: ${env:TOKEN}"),
        ("# url: https://h/x", "# url: ***"),
        ("# see http://u:p@h/x", "# see http://***@h/x"),
        ("# fps: 5, for the old camera", "# fps: 5, for the old camera"),
    ],
)
def test_secrets_of_comments_are_not_shown(comment: str, expected: str) -> None:
    assert shown_comment(comment) == expected


_SECRETS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20)


@settings(max_examples=6, deadline=None)
@given(_SECRETS.filter(lambda text: "${" not in text), st.sampled_from(["'{}'", '"{}"']))
def test_any_secret_in_quotes_comes_back(secret: str, quotes: str) -> None:
    inner = secret.replace("'", "''") if quotes[0] == "'" else secret.replace("\\", "\\\\").replace('"', '\\"')
    text = f"rtsp: {{auth: {{username: me, password: {quotes.format(inner)}}}}} # end\n"
    one = stored(text)
    assert one.shown == f"rtsp: {{auth: {{username: me, password: {quotes.format('***')}}}}} # end\n"
    assert parse(one.restored(one.shown, "f")).value == parse(text).value
