"""Models, what runs them, and jobs over HTTP: read by all viewers; started and cancelled by the role admin."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, FastAPI, Path
from fastapi.responses import Response

from sightd.daemon.administration.jobs import Job, Jobs
from sightd.daemon.administration.models import BackendEntry, ModelEntry, ModelService
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.answers import answer, failures
from sightd.daemon.serve.http.auth import at_least
from sightd.daemon.serve.http.bodies import JsonRoute

JobId = Annotated[int, Path(ge=1, lt=2**31)]
ModelName = Annotated[str, Path(max_length=128)]


def add_models(app: FastAPI, models: ModelService, jobs: Jobs, access: Access) -> None:
    """Adds the routes to `app`."""
    reading = APIRouter(prefix="/api/v1", tags=["models"], route_class=JsonRoute)
    changing = APIRouter(prefix="/api/v1", tags=["models"], route_class=at_least(Role.ADMIN, access))

    @reading.get("/models", summary="All models, and which of them are stored here", response_model=list[ModelEntry])
    def catalogue() -> Response:
        return answer(models.all())

    @changing.post("/models/{model}/fetch", summary="Download a model, as a job", status_code=202, response_model=Job,
                   responses=failures(404, 503))  # fmt: skip
    def fetch(model: ModelName) -> Response:
        job = models.fetch(model)
        return answer(job, 202, {"Location": f"/api/v1/jobs/{job.id}"})

    @reading.get("/engines", summary="Backends that can run models, or why not", response_model=list[BackendEntry])
    def engines() -> Response:
        return answer(models.backends())

    @reading.get("/jobs", summary="Jobs, the newest first", response_model=list[Job])
    def listing() -> Response:
        return answer(jobs.all())

    @reading.get("/jobs/{job}", summary="A job", response_model=Job, responses=failures(404))
    def one(job: JobId) -> Response:
        return answer(jobs.get(job))

    @changing.delete("/jobs/{job}", summary="Cancel a job; it stops soon", response_model=Job, responses=failures(404))
    def cancel(job: JobId) -> Response:
        return answer(jobs.cancel(job))

    app.include_router(reading)
    app.include_router(changing)
