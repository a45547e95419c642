"""The Train tab's routes, for the studio's owner alone: a share's page has none of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse, Response

from studio.errors import InvalidRequest
from studio.training.plans import EFFORTS, KINDS
from studio.training.runs import Runs, RunState, curves
from studio.ui.canvas.routes import StudioRoute

FIGURES = ("psnr", "pixel", "batch_perplexity", "loss")
_NEVER = {"cache-control": "no-store"}


def train_routes(runs: Runs) -> APIRouter:
    """Return the routes, all under /studio/training."""
    routes = APIRouter(prefix="/studio/training", route_class=StudioRoute, include_in_schema=False)

    @routes.get("")
    def everything() -> Response:
        """The runs, what each length would take here, and the measurement that is going on."""
        probe = runs.measuring()
        estimates = {kind: {effort: runs.estimate(kind, effort) for effort in EFFORTS} for kind in KINDS}
        shown = {
            "runs": [run_value(runs, state) for state in runs.list()],
            "estimates": estimates,
            "measuring": None if probe is None else {"phase": probe.phase, "message": f"{probe.message} {probe.hint}"},
        }
        return JSONResponse(shown, headers=_NEVER)

    @routes.get("/{name}/curves")
    def points(name: str) -> Response:
        return JSONResponse(curves(runs.path(name) / "log.jsonl", FIGURES), headers=_NEVER)

    @routes.get("/{name}/samples/{step}.png")
    def samples(name: str, step: int) -> Response:
        path = runs.path(name) / "grids" / f"{step:07d}.png"
        if not path.is_file():
            raise InvalidRequest(f"There are no samples of step {step}.", "Wait for the next ones.")
        return FileResponse(path, media_type="image/png")

    @routes.post("/{name}/{action}")
    def act(name: str, action: str) -> dict[str, Any]:
        actions = {"pause": runs.pause, "stop": runs.stop, "on": runs.go_on, "use": runs.use}
        if action not in actions:
            raise InvalidRequest(f'A run cannot "{action[:20]}".', f"It can {', '.join(actions)}.")
        actions[action](name)
        return run_value(runs, runs.state(name))

    return routes


def run_value(runs: Runs, state: RunState) -> dict[str, Any]:
    """Return what the page shows of a run."""
    grids = sorted(int(path.stem) for path in (runs.path(state.name) / "grids").glob("*.png"))
    return {
        **{name: value for name, value in asdict(state).items() if name not in ("order", "figures")},
        "kind": state.order.kind,
        "steps": state.order.steps,
        "samples": grids,
    }
