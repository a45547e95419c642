"""The composition root: the only module, beside the commands and the engine's process, that knows every layer.

`serve` is the studio with a page: torch and the engine live in a process of their own (`studio.process`), so
that nothing that happens to a model can take the page or the queue down. `Headless` is the studio without a
page, all in one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from studio.collector import collector_at_rest
from studio.engine.catalog import ModelCard, scan
from studio.errors import StudioError
from studio.events import Event, Finished, Loading
from studio.pictures import PictureStore
from studio.process.host import EngineHost
from studio.requests import Request, TextToImage, parse
from studio.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from studio.engine.engine import Engine
    from studio.ui.codebook_service import CodebookService
    from studio.ui.studio import ModelCard as PageModel
    from studio.ui.tabs.train import TrainDesk


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve the page until interrupted; `announce` is told the link that opens it.

    Raises:
        StudioError: The port is taken, the data directory cannot be written, another studio writes there.
    """
    with collector_at_rest() as wake:
        _serve(settings, announce, wake)


def _serve(settings: Settings, announce: Callable[[str], None], page_is_there: Callable[[], None]) -> None:
    from studio.ui.quick_import import skip_editor_files

    skip_editor_files()  # before anything below imports Gradio
    from studio.film.shelf import FilmShelf
    from studio.forecast import PastRuns, noting
    from studio.gallery import Gallery, recorder
    from studio.jobs import JobRunner
    from studio.joins import Forms
    from studio.library.desk import ModelsDesk
    from studio.share import Sharing
    from studio.sharing.gate import Gate, token_url
    from studio.sharing.owner import owner_policy, token_of
    from studio.sharing.safety import filtered, load_filter
    from studio.sharing.visitors import is_guest
    from studio.state.memory import Memory
    from studio.ui.serve import launch
    from studio.ui.studio import Status, Studio

    pictures, runs = PictureStore(settings.data_dir / "pictures"), PastRuns(settings.cache_dir / "runs.jsonl")
    with (
        Gallery(settings.gallery_dir, parting=FilmShelf(settings.films_dir).part) as gallery,
        EngineHost(settings) as host,
        Memory(settings.data_dir) as memory,
    ):
        gallery.empty_trash()
        desk = PaintingDesk(host)
        runner = JobRunner(
            host.run,
            noting(filtered(recorder(gallery), load_filter(settings.guest_filter)), runs),
            queue_size=settings.queue_size,
            queue_per_session=settings.queue_per_session,
            journal=memory.journal,
            returns=lambda owner: not is_guest(owner),  # a guest's cookie ends with the share
            at_once=settings.joined_jobs,
            form=Forms(settings),
        )
        studio = Studio(
            runner=runner,
            gallery=gallery,
            pictures=pictures,
            settings=settings,
            models=lambda: [page_model(card) for card in scan(settings.checkpoint_folders).models],
            status=lambda: Status(busy_with=host.phase, notice=host.notice),
            sees=lambda session: None,
            extras={
                "codebook": lambda: cast("CodebookService", desk),
                "create": runs,
                "style": settings.data_dir / "styles",
                "train": train_desk(settings),
            },
            drafts=memory.drafts,
        )
        with runner, ExitStack() as stack:
            sharing = stack.enter_context(Sharing(studio, settings, announce=announce))
            shelf = stack.enter_context(closing(ModelsDesk(settings)))
            token = token_of(settings)

            def begin() -> None:
                """Start the engine once the page answers: starting side by side, they slow each other down."""
                page_is_there()
                host.start()
                sharing.start()

            launch(
                replace(studio, extras={**studio.extras, "share": sharing, "models": shelf}),
                settings,
                announce=announce,
                guard=partial(Gate, policy=owner_policy(settings, token)),
                link=partial(token_url, token=token),
                then=begin,
            )


class PaintingDesk:
    """What the Codebook tab works with: its methods are the engine's desk's (see `CodebookService`).

    The desk stands in the engine's process, where torch is: a call costs a tenth of a millisecond on the way (`studio
    bench engine`, "desk call"); a second torch here would make this process ten times as large, 640 MB instead of 60.
    """

    def __init__(self, host: EngineHost) -> None:
        self._host = host

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return partial(self._host.call, name)


def train_desk(settings: Settings) -> TrainDesk:
    """Return what the Train tab works with: the runs, and the models of each kind that can be taught."""
    from studio.codebook.find import find_vqgans
    from studio.training.runs import Runs
    from studio.ui.tabs.train import TrainDesk

    def models(kind: str) -> dict[str, Path]:
        if kind == "codebook":
            return find_vqgans(settings.checkpoint_folders)
        cards = scan(settings.checkpoint_folders).models
        return {card.id: card.path for card in cards if card.family == "ldm" and (card.path / "bert").is_dir()}

    return TrainDesk(Runs(settings.data_dir / "training", settings.data_dir / "models"), models)


def page_model(card: ModelCard) -> PageModel:
    """Return a catalogue card as the page shows it."""
    from studio.prompt.tokens import counter_of
    from studio.ui.studio import ModelCard as PageModel
    from studio.ui.studio import Quality

    return PageModel(
        id=card.id,
        title=card.name,
        sizes=card.sizes,
        schedulers={choice.id: choice.label for choice in card.schedulers},
        qualities={p.id: Quality(p.steps, p.guidance_scale, p.scheduler) for p in card.presets},
        style_words=card.styles,
        examples=card.examples,
        count_tokens=counter_of(card.path, card.family),
        is_inpainting=card.is_inpainting,
        draws_tokens=card.architecture == "tokens",
        is_stock=card.family == "pipeline",
    )


class Headless:
    """The studio without a page: one request at a time, for the command line and the benchmarks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pictures = PictureStore(settings.data_dir / "pictures")

    @cached_property
    def engine(self) -> Engine:
        """The engine, in this process; loaded when first used.

        Raises:
            StudioError: torch or diffusers is missing, or the device is not there.
        """
        try:
            from studio.engine.engine import Engine
            from studio.handlers import handlers
        except ImportError as error:
            raise StudioError(
                f"The engine cannot start: {error}.", "Start the studio with python launch.py."
            ) from error
        return Engine(self.settings, read_picture=self.pictures.get, handlers=handlers(self.settings))

    def complete(self, values: dict[str, Any], *, quality: str | None = None) -> Request:
        """Return the request that `values` describe, with the model's own size and preset where they say nothing.

        Raises:
            InvalidRequest: A value is out of bounds or off the model's grid, a name is unknown.
        """
        card = scan(self.settings.checkpoint_folders).find(str(values.get("model", "")))
        preset = card.preset(quality or "standard")
        model = {"steps": preset.steps, "scheduler": preset.scheduler, "guidance_scale": preset.guidance_scale}
        request = parse({**model, "width": card.width, "height": card.height, **values})
        if isinstance(request, TextToImage):
            card.check_size(request.width, request.height)
        return request

    def events(self, request: Request, *, out: Path | None = None) -> Iterator[Event]:
        """Run `request`; Finished comes once its pictures are written, with extras["files"].

        Args:
            out: A PNG to write (a batch gets -1, -2, ... before the suffix); None writes into the gallery.
        """
        yield Loading("the engine")
        for event in self.engine.run(request, lambda: False):
            yield self._kept(request, event, out) if isinstance(event, Finished) else event

    def _kept(self, request: Request, finished: Finished, out: Path | None) -> Finished:
        from studio.gallery import Gallery
        from studio.gallery.loose import write_picture

        many, files, records = len(finished.images) > 1, [], []
        if out is not None:
            for place, (image, seed) in enumerate(zip(finished.images, finished.seeds, strict=True)):
                path = out.with_stem(f"{out.stem}-{place + 1}") if many else out
                write_picture(path, image, request=request, seed=seed, facts=finished.facts_of(place))
                files.append(path)
        else:
            with Gallery(self.settings.gallery_dir) as gallery:
                for place, (image, seed) in enumerate(zip(finished.images, finished.seeds, strict=True)):
                    facts = finished.facts_of(place)
                    entry = gallery.save(image, request=request, seed=seed, facts=facts, job_id="", owner="")
                    files.append(entry.path)
                    records.append(entry.id)
        return replace(finished, records=tuple(records), extras={**finished.extras, "files": files})
