"""The gallery over HTTP: everything that the command line does, only for this machine."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.model import Http
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.plugins.face.gallery.sightings import Best
from sightd.plugins.face.service import FaceService
from tests.daemon.serve.http.test_app import View
from tests.plugins.face.gallery.faces import crop, face, vector
from tests.support import media
from tests.support.access import NO_TOKENS
from tests.support.face_services import open_test_face_service, with_face_routes
from tests.support.hostile_images import huge_images

pytestmark = pytest.mark.waiting

CHANGES = {"X-Sightd": "1"}


@pytest.fixture
def face_service(tmp_path: Path) -> Iterator[FaceService]:
    opened = open_test_face_service(tmp_path / "faces.db")
    yield opened
    opened.close()


def serve(face_service: FaceService) -> HttpServer:
    metrics = Metrics(CollectorRegistry(), "1.2.3")
    app = with_face_routes(create_app(View(), metrics.exposition, 1, NO_TOKENS), face_service, NO_TOKENS)
    server = HttpServer(Http(port=0), app)
    server.start()
    return server


@pytest.fixture
def client(face_service: FaceService) -> Iterator[httpx.Client]:
    server = serve(face_service)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=CHANGES, timeout=20) as client:
        yield client
    server.close()


def photo(name: str) -> bytes:
    return media.path(name).read_bytes()


def test_a_person_is_enrolled_renamed_joined_and_forgotten(client: httpx.Client) -> None:
    added = client.post(
        "/api/v1/faces/Ada Lovelace/photos", content=photo("astronaut.png"), params={"source": "ada.png"}
    )
    assert added.status_code == 201
    assert added.json()["person"]["faces"] == {"sface": 1}
    assert added.json()["photos"][0]["faces"] == 1
    assert client.get("/api/v1/faces/ada lovelace").json()["photos"][0]["source"] == "ada.png"
    assert client.patch("/api/v1/faces/Ada Lovelace", json={"name": "Ada"}).json()["name"] == "Ada"
    client.post("/api/v1/faces/Tom/photos", content=photo("single_face.jpg"))
    assert client.patch("/api/v1/faces/Ada", json={"name": "tom"}).status_code == 409
    assert client.post("/api/v1/faces/Ada/merge", json={"into": "Tom"}).json()["faces"] == {"sface": 2}
    assert [one["name"] for one in client.get("/api/v1/faces").json()] == ["Tom"]
    assert client.delete("/api/v1/faces/Tom").status_code == 204
    assert client.get("/api/v1/faces").json() == []
    missing = client.get("/api/v1/faces/Tom")
    assert (missing.status_code, missing.json()["error"]) == (
        404,
        'nobody is enrolled as "Tom": see `sightd faces list`',
    )


def test_a_photograph_that_is_not_taken_is_told_with_the_reason(client: httpx.Client) -> None:
    refused = client.post("/api/v1/faces/Ada/photos", content=photo("multi_face.jpg"))
    assert refused.status_code == 422
    message = "5 faces, none of them clearly the main one: crop the photo so that it shows one"
    found = {"taken": False, "message": message}
    assert refused.json() == {**found, "photos": [{**found, "source": "upload", "known": False, "faces": 5}]}
    broken = client.post("/api/v1/faces/Ada/photos", content=b"<html>")
    assert broken.status_code == 422
    assert broken.json()["error"].startswith("upload: not a readable image")


@pytest.mark.parametrize("name", ["screen.gif", "plain.png", "strips.tiff", "still.webp", "image.jp2"])
def test_huge_images_in_small_files_are_refused(client: httpx.Client, name: str) -> None:
    data = huge_images()[name]
    enrolled = client.post("/api/v1/faces/Ada/photos", content=data)
    assert enrolled.status_code == 422
    text = base64.b64encode(data).decode()
    compared = client.post("/api/v1/compare-faces", json={"a": text, "b": text})
    assert compared.status_code == 422
    for answer in (enrolled, compared):
        assert "million pixels" in answer.json()["error"] or "not a readable image" in answer.json()["error"]


def test_an_upload_that_is_too_long_is_cut_off(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"\0" * (1 << 20)

    assert client.post("/api/v1/faces/Ada/photos", content=endless()).status_code == 413


def test_two_photographs_are_compared(client: httpx.Client) -> None:
    one, other = (base64.b64encode(photo(name)).decode() for name in ("astronaut.png", "single_face.jpg"))
    assert client.post("/api/v1/compare-faces", json={"a": one, "b": one}).json()["same"] is True
    found = client.post("/api/v1/compare-faces", json={"a": one, "b": other}).json()
    assert found["same"] is False
    assert found["similarity"] < found["threshold"]
    assert client.post("/api/v1/compare-faces", json={"a": one, "b": "!"}).status_code == 422


def test_unknown_persons_are_listed_shown_named_and_forgotten(client: httpx.Client, face_service: FaceService) -> None:
    for seed in (1, 2):
        face_service.unknown.with_visit(
            vector(seed), 1.0, float(seed), Best(0.9, crop(seed)), face_service._calibration, 10
        )
    assert [one["id"] for one in client.get("/api/v1/unknown-faces").json()] == [1, 2]
    assert client.get("/api/v1/unknown-faces/1.png").content.startswith(b"\x89PNG")
    assert client.post("/api/v1/unknown-faces/1/name", json={"name": "Ada"}).json()["name"] == "Ada"
    np.testing.assert_allclose(
        face_service.gallery.faces(face_service.gallery.person("Ada"))[0].embedding, vector(1), atol=1e-6
    )
    assert client.delete("/api/v1/unknown-faces/2").status_code == 204
    assert client.get("/api/v1/unknown-faces").json() == []
    assert client.get("/api/v1/unknown-faces/2.png").status_code == 422


def test_those_who_look_most_like_an_unknown_person_are_listed(client: httpx.Client, face_service: FaceService) -> None:
    table = face_service._calibration
    axes = np.eye(len(vector(1)), dtype=np.float32)
    for number, cosine in enumerate((1.0, 0.1, 0.3, 0.2, 0.0)):
        mean = cosine * axes[0] + np.sqrt(np.float32(1 - cosine**2)) * axes[number]
        face_service.unknown.with_visit(mean, 1.0, float(number), Best(0.9, crop(number)), table, 10)
    answer = client.get("/api/v1/unknown-faces/1/nearest").json()
    assert [one["id"] for one in answer] == [3, 4, 2, 5]
    assert [one["similarity"] for one in answer] == pytest.approx([0.3, 0.2, 0.1, 0.0])
    assert answer[0]["strangers"] == table.fmr(answer[0]["similarity"])
    assert [one["id"] for one in client.get("/api/v1/unknown-faces/1/nearest", params={"limit": 1}).json()] == [3]
    assert "there is no unknown person 9" in client.get("/api/v1/unknown-faces/9/nearest").text


def test_it_is_taken_to_another_machine_and_calibrated(client: httpx.Client, face_service: FaceService) -> None:
    face_service.gallery.add("Ada", [face(1)])
    file = client.get("/api/v1/export-faces").content
    client.delete("/api/v1/faces/Ada")
    assert client.post("/api/v1/import-faces", content=file).json() == {"persons": 1, "faces": 1}
    assert client.post("/api/v1/import-faces", content=b"{}").status_code == 422
    found = client.post("/api/v1/calibrate-faces", params={"apply": True}).json()
    assert (found["persons"], found["shift"], found["applied"]) == (1, 0.0, True)


def test_a_foreign_page_can_change_nothing_and_read_nothing(client: httpx.Client, face_service: FaceService) -> None:
    face_service.gallery.add("Ada", [face(1)])
    without = httpx.delete(f"{client.base_url}/api/v1/faces/Ada")
    assert (without.status_code, without.json()["detail"]) == (
        403,
        "Requests that change something must have the header X-Sightd: 1.",
    )
    rebound = client.get("/api/v1/faces", headers={"Host": "evil.example"})
    assert rebound.status_code == 403
    assert (
        "access-control-allow-origin"
        not in client.get("/api/v1/faces", headers={"Origin": "https://evil.example"}).headers
    )
    assert face_service.gallery.person("Ada")


def test_a_document_that_is_too_long_is_refused(client: httpx.Client) -> None:
    content = b'{"name": "' + b"A" * (2 << 20) + b'"}'
    assert client.patch("/api/v1/faces/Ada", content=content).status_code == 413


def test_an_unknown_person_who_looks_like_somebody_gets_no_second_name(
    client: httpx.Client, face_service: FaceService
) -> None:
    face_service.gallery.add("Ada", [face(1)])
    face_service.unknown.with_visit(vector(1), 1.0, 1.0, Best(0.9, None), face_service._calibration, 10)
    refused = client.post("/api/v1/unknown-faces/1/name", json={"name": "Grace"})
    assert refused.status_code == 422
    assert 'looks like "Ada" (1.00)' in refused.json()["error"]
    assert client.post("/api/v1/unknown-faces/1/name", json={"name": " ada "}).status_code == 200
    assert [one["name"] for one in client.get("/api/v1/faces").json()] == ["Ada"]


def test_names_are_in_no_log_at_info(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        client.post("/api/v1/faces/Ada Lovelace/photos", content=photo("astronaut.png"))
        client.delete("/api/v1/faces/Ada Lovelace")
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert not [message for message in ours if "Ada" in message]
