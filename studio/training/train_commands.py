"""studio train start | own | resume | pause | status | plot | options | text | encode: training without a page."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from studio.errors import InvalidRequest
from studio.settings import Settings
from studio.training.plans import EFFORTS, KINDS

TASKS = ("vqvae", "vqgan", "diffusion", "tokens")
Out = Callable[..., None]
_SEVERAL = (
    "On several GPUs, here 2: torchrun --nproc-per-node 2 -m studio.cli train start ... (or resume; accelerate launch "
    "--num_processes 2 does the same). The processes share each batch, so batch_size must divide by their number."
)


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `train` with its actions."""
    actions = subparsers.add_parser("train", description="Train or fine-tune a model.").add_subparsers(
        dest="action", required=True
    )
    start = actions.add_parser("start", description="Begin a run, or go on with one that was cut.", epilog=_SEVERAL)
    start.add_argument("task", choices=TASKS)
    start.add_argument("run", type=Path, metavar="RUN", help="folder for everything the run writes")
    start.add_argument("--data", required=True, metavar="NAME.pack", help="pictures, from `studio data build`")
    start.add_argument("--vqvae", metavar="FOLDER", help="frozen autoencoder (diffusion, tokens)")
    start.add_argument("--text-encoder", metavar="FOLDER", help="from `studio train text` (diffusion, tokens)")
    start.add_argument("--scenes", metavar="FOLDER", help="from `studio train encode` (diffusion, tokens)")
    start.add_argument("--init", metavar="FOLDER", help="model to start from instead of from nothing")
    _add_settings(start)
    own = actions.add_parser("own", description="Teach a model your own pictures: pack, recipe and run in one.")
    own.add_argument("run", type=Path, metavar="RUN", help="folder of the run; one that was begun goes on")
    own.add_argument("--kind", choices=KINDS, default="codebook", help="what learns: the VQGAN, or the picture model")
    own.add_argument("--pictures", type=Path, metavar="FOLDER", help="5 pictures or more")
    own.add_argument("--model", type=Path, metavar="FOLDER", help="the model to begin with")
    own.add_argument("--effort", choices=EFFORTS, default="standard")
    own.add_argument("--minutes", type=float, help="save and stop after so long")
    resume = actions.add_parser("resume", description="Go on with a run, exactly where it was cut.", epilog=_SEVERAL)
    resume.add_argument("run", type=Path, metavar="RUN")
    _add_settings(resume)
    for name, what in (("pause", "Ask a run to save and stop."), ("status", "Say how far a run is.")):
        actions.add_parser(name, description=what).add_argument("run", type=Path, metavar="RUN")
    plot = actions.add_parser("plot", description="Draw a run's curves.")
    plot.add_argument("run", type=Path, metavar="RUN")
    plot.add_argument("--out", type=Path, help="SVG file (default: curves.svg in the run)")
    options = actions.add_parser("options", description="List what --set takes for a task.")
    options.add_argument("task", choices=TASKS)
    text = actions.add_parser("text", description="Make the text encoder, with a vocabulary that fits the captions.")
    text.add_argument("out", type=Path, metavar="FOLDER")
    text.add_argument("--data", required=True, metavar="NAME.pack")
    text.add_argument("--layers", type=int, default=4, help="of MiniLM to keep, 1 to 6 (default 4)")
    encode = actions.add_parser("encode", description="Encode scenes ahead: training on them is several times faster.")
    encode.add_argument("out", type=Path, metavar="FOLDER")
    encode.add_argument("--data", required=True, metavar="NAME.pack")
    encode.add_argument("--vqvae", required=True, metavar="FOLDER")
    encode.add_argument("--text-encoder", required=True, metavar="FOLDER")
    encode.add_argument("--count", type=int, default=20_000, help="scenes (default 20000); more can be added later")
    encode.add_argument(
        "--composed",
        type=float,
        default=1.0,
        help="share with any layout; the others show one thing, whole (default 1)",
    )
    encode.add_argument(
        "--features", action="store_true", help="keep image features too, for align_weight (40 KB each)"
    )


def run(args: argparse.Namespace, settings: Settings, out: Out) -> int:
    """Do what ``args.action`` says; return the exit status."""
    actions = {
        "start": _start, "own": _own, "resume": _resume, "pause": _pause, "status": _status, "plot": _plot,
        "options": _options, "text": _text, "encode": _encode,
    }  # fmt: skip
    return actions[args.action](args, out)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="see `studio train options`")
    parser.add_argument("--minutes", type=float, help="save and stop after so long; `resume` goes on")


def _start(args: argparse.Namespace, out: Out) -> int:
    from studio.training.recipes import make_config

    names = ("data", "vqvae", "text_encoder", "scenes", "init")
    given = {name: getattr(args, name) for name in names if getattr(args, name)}
    return _train(make_config(args.task, given, assignments=args.set), args, out)


def _own(args: argparse.Namespace, out: Out) -> int:
    from studio.training.own import prepare, reporting
    from studio.training.plans import begin, has_begun

    if not has_begun(args.run):
        if args.pictures is None or args.model is None:
            raise InvalidRequest("A new run needs --pictures and --model.", "Give the two folders.")
        begin(args.run, kind=args.kind, pictures=args.pictures, model=args.model, effort=args.effort)
    with reporting(args.run):
        return _train(prepare(args.run, out), args, out)


def _resume(args: argparse.Namespace, out: Out) -> int:
    from studio.training.config import read_config
    from studio.training.recipes import checked

    config = read_config(args.run / "config.json")
    return _train(checked(config.model_dump(mode="json"), args.set), args, out)


def _train(config: object, args: argparse.Namespace, out: Out) -> int:
    from studio.training.config import TaskConfig
    from studio.training.run import Progress, make_accelerator, train

    assert isinstance(config, TaskConfig)
    accelerator = make_accelerator(config)
    stop = threading.Event()
    timer = threading.Timer(args.minutes * 60, stop.set) if args.minutes else None
    if timer is not None:
        timer.daemon = True
        timer.start()

    def ask_to_stop(_: int, __: FrameType | None) -> None:
        stop.set()

    def tell(progress: Progress) -> None:
        figures = "  ".join(f"{name} {value:.3g}" for name, value in progress.figures.items())
        out(
            f"{progress.step}/{progress.steps}  {progress.samples_per_second:.1f}/s  "
            f"{progress.seconds_left / 60:.0f} min left  {figures}"
        )

    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        (args.run / "STOP").unlink(missing_ok=True)
        outcome = train(config, args.run, should_stop=stop.is_set, on_progress=tell, accelerator=accelerator)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if timer is not None:
            timer.cancel()
    if not accelerator.is_main_process:
        return 0
    if outcome.is_finished:
        out(f"Finished: {outcome.step} steps. The model is in {outcome.folder / 'export'}.")
    else:
        out(f"Stopped at step {outcome.step}. Go on with: studio train resume {outcome.folder}")
    return 0


def _pause(args: argparse.Namespace, out: Out) -> int:
    if not (args.run / "config.json").is_file():
        raise InvalidRequest(f"{args.run} is no training run.", "Give the folder of a run.")
    (args.run / "STOP").touch()
    out("The run saves and stops after its current step.")
    return 0


def _status(args: argparse.Namespace, out: Out) -> int:
    from studio.training.runlog import read_log

    lines = read_log(args.run / "log.jsonl")
    if not lines:
        raise InvalidRequest(f"{args.run} has no log.", "Give the folder of a run that has begun.")
    out(json.dumps(lines[-1]))
    return 0


def _plot(args: argparse.Namespace, out: Out) -> int:
    from studio.training.curves import draw_curves

    target = args.out or args.run / "curves.svg"
    names = draw_curves(args.run / "log.jsonl", target)
    out(f"{target}: {', '.join(names)}")
    return 0


def _options(args: argparse.Namespace, out: Out) -> int:
    from studio.training.config import AutoencoderConfig, DiffusionConfig, TaskConfig, TokensConfig
    from studio.training.recipes import RECIPES

    models: dict[str, type[TaskConfig]] = {"diffusion": DiffusionConfig, "tokens": TokensConfig}
    for name, field in models.get(args.task, AutoencoderConfig).model_fields.items():
        value = RECIPES[args.task].get(name, "" if field.is_required() else field.default)
        out(f"{name} = {value}" + (f"   {field.description}" if field.description else ""))
    return 0


def _text(args: argparse.Namespace, out: Out) -> int:
    from studio.training.pack import Pack
    from studio.training.text import prune_minilm, words_of

    pack = Pack.open(args.data)
    encoder = prune_minilm(words_of(pack), args.out, layers=args.layers)
    out(f"{args.out}: {encoder.model.config.vocab_size} word pieces")
    return 0


def _encode(args: argparse.Namespace, out: Out) -> int:
    from studio.training.evaluate import load_vqvae
    from studio.training.latents import Networks, encode_scenes
    from studio.training.pack import Pack
    from studio.training.perceptual import EfficientNetFeatures
    from studio.training.run import training_device
    from studio.training.stream import PackSource
    from studio.training.text import TextEncoder

    def tell(done: int, count: int) -> None:
        if done % 1024 < 32 or done == count:
            out(f"{done}/{count} scenes")

    pack = Pack.open(args.data)
    networks = Networks(
        load_vqvae(Path(args.vqvae)),
        TextEncoder.load(Path(args.text_encoder)),
        EfficientNetFeatures() if args.features else None,
    ).to(training_device())
    source = PackSource(pack, composed=args.composed)
    origin = pack.digest if args.composed == 1 else f"{pack.digest} composed {args.composed:g}"
    encode_scenes(source, networks, args.out, count=args.count, origin=origin, on_progress=tell)
    return 0
