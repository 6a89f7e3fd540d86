"""Dead letters over HTTP: for all viewers, and to send again or delete for the role admin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from sightd.daemon.delivery.manager import EventDelivery
from sightd.daemon.delivery.store import StoreError
from sightd.daemon.events.query import HIGHEST
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.auth import at_least
from sightd.daemon.serve.http.bodies import JsonRoute, report_unavailable


class _Letters(BaseModel):
    """Chooses dead letters."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[int, Field(ge=0, le=HIGHEST)]] | None = Field(max_length=1000, description="Null: all.")


class _UnknownSinkError(Exception):
    pass


def add_delivery(app: FastAPI, delivery: EventDelivery, access: Access) -> None:
    """Adds the routes to `app`."""
    app.add_exception_handler(StoreError, report_unavailable)
    app.add_exception_handler(_UnknownSinkError, _unknown)
    reading = APIRouter(prefix="/api/v1/delivery", tags=["delivery"], route_class=JsonRoute)
    changing = APIRouter(prefix="/api/v1/delivery", tags=["delivery"], route_class=at_least(Role.ADMIN, access))

    @reading.get("/{sink}/dead", summary="Dead letters of a sink, oldest first")
    def dead(sink: str) -> list[dict[str, Any]]:
        with _known(sink):
            return [letter.for_json() for letter in delivery.dead_letters(sink)]

    @changing.post("/{sink}/retry", summary="Send dead letters again, before new events")
    def retry(sink: str, letters: _Letters) -> dict[str, list[int]]:
        with _known(sink):
            return {"ids": delivery.retry(sink, letters.ids)}

    @changing.post("/{sink}/delete", summary="Delete dead letters")
    def delete(sink: str, letters: _Letters) -> dict[str, list[int]]:
        with _known(sink):
            return {"ids": delivery.delete(sink, letters.ids)}

    app.include_router(reading)
    app.include_router(changing)


@contextmanager
def _known(sink: str) -> Iterator[None]:
    """Raises _UnknownSinkError if `delivery` does not know the sink."""
    try:
        yield
    except KeyError:
        raise _UnknownSinkError(sink) from None


async def _unknown(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"There is no sink {error.args[0]!r}."}, status_code=404)
