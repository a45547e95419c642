"""The drafts' routes: /studio/drafts/FORM takes what lies on a page's form, and gives it back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from studio.state.drafts import Drafts
from studio.ui.canvas.routes import SessionOf, StudioRoute

FormName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class Draft(BaseModel):
    """What lies on a form; `page` is the name that the browser's tab goes by."""

    model_config = ConfigDict(extra="forbid")

    page: str = Field("", max_length=64)
    content: dict[str, Any]


def draft_routes(drafts: Drafts, session_of: SessionOf) -> APIRouter:
    """Return the routes; include them in the app before Gradio is mounted at "/"."""
    router = APIRouter(prefix="/studio/drafts", route_class=StudioRoute, include_in_schema=False)

    @router.post("/{form}")
    def save(request: Request, form: FormName, draft: Draft) -> Response:
        drafts.save(session_of(request), form, page=draft.page, content=draft.content)
        return Response(status_code=204)

    @router.get("/{form}")
    def find(request: Request, form: FormName, page: Annotated[str, Query(max_length=64)] = "") -> dict[str, Any]:
        return {"content": drafts.find(session_of(request), form, page=page)}

    return router
