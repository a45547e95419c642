"""Damaged checkpoints: refused in one line, quickly, by the header alone; the model in use stays."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from safetensors.torch import save_file

from studio.engine.checkpoint import read_header
from studio.engine.engine import Engine
from studio.errors import ModelError, StudioError
from studio.events import Finished
from tests.engine.run import finish, small
from tests.promises import count

KINDS = ("a bit", "a byte", "cut", "longer", "a hole", "header byte", "header length", "header word")


def mutant(whole: bytes, kind: str, dice: random.Random) -> bytes:
    """Return `whole` with one piece of damage."""
    data, header = bytearray(whole), 8 + int.from_bytes(whole[:8], "little")
    place = dice.randrange(len(data))
    if kind == "a bit":
        data[place] ^= 1 << dice.randrange(8)
    elif kind == "a byte":
        data[place] = dice.randrange(256)
    elif kind == "cut":
        del data[place:]
    elif kind == "longer":
        data += dice.randbytes(dice.randint(1, 5000))
    elif kind == "a hole":
        del data[place : place + dice.randint(1, 500)]
    elif kind == "header byte":
        data[dice.randrange(8, header)] = dice.randrange(256)
    elif kind == "header length":
        data[:8] = dice.choice([0, 1, header, 2**20, 2**31, 2**63, 2**64 - 1]).to_bytes(8, "little")
    else:
        text = whole[8:header]
        old, new = dice.choice(
            [(b"F32", b"F16"), (b"[0,", b"[4,"), (b"shape", b"shap3"), (b":{", b":["), (b"F32", b"I64")]
        )
        return whole[:8] + text.replace(old, new, 1) + whole[header:]
    return bytes(data)


def test_a_damaged_checkpoint_is_read_or_refused_in_one_line_and_nothing_crashes(
    tmp_path: Path, figure: Callable[..., None]
) -> None:
    """R8: 10,000 damaged safetensors files in the full run; what passes has a whole header and a whole length."""
    torch.manual_seed(0)
    save_file({f"block.{i}.weight": torch.randn(7, 5) for i in range(12)}, tmp_path / "whole.safetensors")
    whole, dice, outcomes = (tmp_path / "whole.safetensors").read_bytes(), random.Random(8), Counter[str]()
    memory = psutil.Process().memory_info().rss
    for number in range(count(800, 10_000)):
        path = tmp_path / f"{number % 40}.safetensors"
        path.unlink(missing_ok=True)
        path.write_bytes(mutant(whole, KINDS[number % len(KINDS)], dice))
        try:
            header = read_header(path)
            assert header.nbytes <= path.stat().st_size
            outcomes["read"] += 1
        except ModelError as error:
            assert "\n" not in error.message and len(error.message) < 300
            assert str(tmp_path) not in str(error)
            outcomes["refused"] += 1
    grown = (psutil.Process().memory_info().rss - memory) / 2**20
    figure(files=outcomes.total(), refused=outcomes["refused"], crashes=0)
    assert outcomes["refused"] > outcomes["read"] > 0
    assert grown < 300


def test_a_damaged_model_never_takes_the_one_in_use_with_it(
    engine: Engine, tiny_models: Path, figure: Callable[..., None]
) -> None:
    """R8: weights that are cut, emptied, swapped, replaced by a pointer or a page; the other model still paints."""
    before = finish(engine, model="sd1").images[0].tobytes()
    weights = sorted((tiny_models / "ldm").glob("*/*.safetensors"))
    dice, refused = random.Random(88), 0
    damages: list[Callable[[bytes], bytes]] = [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data + b"more",
        lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        lambda data: b"<!doctype html><title>404</title>",
        lambda data: mutant(data, "header word", dice),
        lambda data: (len(b"{}")).to_bytes(8, "little") + b"{}",
        lambda data: (lambda text: len(text).to_bytes(8, "little") + text)(
            json.dumps({f"t{i}": {"dtype": "F32", "shape": [], "data_offsets": [0, 0]} for i in range(30_000)}).encode()
        ),
    ]
    for path in weights:
        whole = path.read_bytes()
        for number, damage in enumerate(damages):
            path.write_bytes(damage(whole))
            try:
                ending = list(engine.run(small(model="ldm"), lambda: False))[-1]
                raise AssertionError(f"{path.parent.name} with damage {number} was used: {type(ending).__name__}")
            except StudioError as error:
                assert str(tiny_models) not in str(error)
                refused += 1
            finally:
                path.write_bytes(whole)
        assert finish(engine, model="sd1").images[0].tobytes() == before
    assert isinstance(list(engine.run(small(model="ldm"), lambda: False))[-1], Finished)
    figure(damaged_models=refused, models_in_use_lost=0)
