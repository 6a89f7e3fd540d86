"""The Python client: every method calls its operation, and the example of the documentation runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightd.client import ApiError, Client, DeniedError, LateError
from sightd.plugins.api import UsageError
from tests.daemon.serve.http.test_administration import Api
from tests.support.administration import CANARY, SITE

pytestmark = pytest.mark.computing

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    one = Api(tmp_path_factory.mktemp("site"))
    one.site.administration.models._fetched = lambda model, progress: "there"  # type: ignore[method-assign]
    yield one
    one.close()


@pytest.fixture
def client(api: Api) -> Client:
    return Client(f"http://127.0.0.1:{api.server.port}", token="token-of-the-role-admin")


def test_cameras_plugins_and_rules_are_read_and_changed(client: Client) -> None:
    assert [one["name"] for one in client.cameras()] == ["front", "back"]
    assert client.add_camera("gate", "testpattern://", before="back", fps=5)["added"] == ["gate"]
    assert client.change_camera("gate", title="Gate", fps=None)["changed"] == ["gate"]
    assert client.camera("gate")["title"] == "Gate"
    client.order_cameras(["back", "gate", "front"])
    assert client.remove_camera("gate")["removed"] == ["gate"]
    assert (client.pause("front")["paused"], client.resume("front")["paused"]) == (True, False)
    assert client.change_plugin("detector", persist=False, min_score=0.7)["adjusted"] == ["detector"]
    assert client.plugins()[0]["options"]["min_score"]["value"] == 0.7
    assert client.put_rule("night", kinds=["line.*"])["event_rules"] == ["night"]
    assert client.rules() == {"night": {"kinds": ["line.*"]}}
    assert client.remove_rule("night")["event_rules"] == ["night"]


def test_the_configuration_is_replaced_and_restored(client: Client) -> None:
    shown = client.configuration()
    assert shown["text"] is not None
    assert client.check_configuration(shown["text"])["problems"] == []
    client.replace_configuration(shown["text"] + "# end\n", shown["revision"])
    with pytest.raises(ApiError) as refused:
        client.replace_configuration(shown["text"], shown["revision"])
    assert refused.value.status == 412
    client.restore_configuration(client.configuration_history()[-1]["id"])
    assert client.configuration()["text"] == SITE.replace(f"admin:{CANARY}", "***")


def test_jobs_are_awaited(client: Client) -> None:
    assert "yunet" in {one["name"] for one in client.models()}
    job = client.wait(client.fetch_model("yunet"), within=20)
    assert (job["state"], job["result"]) == ("done", "there")
    assert client.jobs()[0] == client.cancel(job["id"]) == job


def test_a_job_that_does_not_end_is_awaited_only_so_long(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = client.fetch_model("yunet")
    monkeypatch.setattr(client, "job", lambda _number: {**job, "state": "running"})
    with pytest.raises(LateError, match="still running"):
        client.wait(job, within=-1.0)


def test_the_rest_is_read(client: Client) -> None:
    assert client.me()["role"] == "admin"
    assert client.status()["version"] == "1.2.3"
    assert {one["name"] for one in client.engines()} >= {"onnxruntime"}
    assert isinstance(client.log(lines=1), list)
    assert client.reload()["added"] == []


def test_the_role_of_the_token_counts(api: Api) -> None:
    with pytest.raises(DeniedError, match='requires the role "admin"'):
        Client(f"http://127.0.0.1:{api.server.port}", token="token-of-the-role-view").configuration()


@pytest.mark.parametrize("url", ["ftp://box", "http://me:secret@box"])
def test_an_address_that_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        Client(url)
    assert "secret" not in str(refused.value)


def test_the_example_of_the_documentation_runs(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S)
    address = f'"http://127.0.0.1:{api.server.port}", token="token-of-the-role-admin"'
    exec(example.replace('"http://127.0.0.1:8080", token=None', address), {})
    printed = capsys.readouterr().out
    assert "front testpattern:// live" in printed
    assert "write" in printed
    assert api.site.path.read_text() == SITE
