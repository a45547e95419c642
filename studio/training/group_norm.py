"""A faster GroupNorm for training on a CPU: one compiled pass for the norm and the SiLU after it.

Only the speed changes: parameters keep their names, so what is saved is a plain diffusers model. It needs g++,
bfloat16 and channels-last tensors; everything else goes through torch. Switched on by ``accelerate_norms``, never
by itself. Source of the maths: Wu and He, "Group Normalization", 2018.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("group_norm.cpp")


def can_compile() -> bool:
    """Say whether the compiled kernel can be built here: g++ on the path and bfloat16 arithmetic in the CPU."""
    return shutil.which("g++") is not None and torch.backends.cpu.get_cpu_capability() == "AVX512"


def accelerate_norms(model: nn.Module) -> int:
    """Replace the GroupNorm + SiLU pairs of every ``ResnetBlock2D`` in ``model``, in place; return how many.

    Raises RuntimeError when the kernel does not compile.
    """
    _library()
    count = 0
    for block in [m for m in model.modules() if isinstance(m, ResnetBlock2D)]:
        if not isinstance(block.nonlinearity, nn.SiLU):
            continue
        for name in ("norm1", "norm2"):
            norm = getattr(block, name)
            if isinstance(norm, nn.GroupNorm):
                setattr(block, name, NormSilu(norm))
                count += 1
        if block.time_emb_proj is not None and not block.skip_time_act:
            block.time_emb_proj = SiluLinear(block.time_emb_proj)
        block.nonlinearity = nn.Identity()
    return count


class NormSilu(nn.Module):
    """GroupNorm and SiLU with the parameters of an existing ``nn.GroupNorm``."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.num_groups, self.eps = norm.num_groups, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and activate ``x``: (b, c, h, w), any dtype and layout."""
        if x.dtype is torch.bfloat16 and x.device.type == "cpu":
            return _NormSiluFunction.apply(x, self.weight, self.bias, self.num_groups, self.eps)
        return F.silu(F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps))


class SiluLinear(nn.Module):
    """SiLU, then the given linear layer: takes over the activation that ``accelerate_norms`` removes."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Apply to ``x``: (b, d)."""
        return F.linear(F.silu(x), self.weight, self.bias)


class _NormSiluFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:  # type: ignore[no-untyped-def]
        x = x.contiguous(memory_format=torch.channels_last)
        gamma, beta = weight.float().contiguous(), bias.float().contiguous()
        n, c, h, w = x.shape
        y = torch.empty_like(x)
        mean, rstd = torch.empty(n, groups), torch.empty(n, groups)
        _library().group_norm_forward(
            *map(_pointer, (x, y, gamma, beta, mean, rstd)), *map(ctypes.c_int64, (n, h * w, c, groups)),
            ctypes.c_float(eps), ctypes.c_int(1),
        )  # fmt: skip
        ctx.save_for_backward(x, gamma, beta, mean, rstd)
        ctx.groups = groups
        return y

    @staticmethod
    def backward(ctx, dy: Tensor):  # type: ignore[no-untyped-def]
        x, gamma, beta, mean, rstd = ctx.saved_tensors
        dy = dy.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        n, c, h, w = x.shape
        dx, dgamma, dbeta = torch.empty_like(x), torch.empty(n, c), torch.empty(n, c)
        _library().group_norm_backward(
            *map(_pointer, (dy, x, gamma, beta, mean, rstd, dx, dgamma, dbeta)),
            *map(ctypes.c_int64, (n, h * w, c, ctx.groups)), ctypes.c_int(1),
        )  # fmt: skip
        return dx, dgamma.sum(0), dbeta.sum(0), None, None


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


@cache
def _library() -> ctypes.CDLL:
    """Compile the kernel once for this machine and load it."""
    source = SOURCE.read_bytes()
    key = hashlib.sha256(source + torch.__version__.encode()).hexdigest()[:16]
    target = Path(tempfile.gettempdir()) / f"tessera-group-norm-{key}.so"
    if not target.exists():
        # torch brings its own OpenMP: sharing it keeps one set of threads, a second one would fight for the cores.
        openmp = [str(p) for p in (Path(torch.__file__).parent / "lib").glob("libgomp*.so*")]
        building = target.with_suffix(f".{id(source)}.tmp")
        command = ["g++", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC", str(SOURCE)]
        result = subprocess.run([*command, *openmp, "-o", str(building)], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"g++ could not build {SOURCE.name}: {result.stderr.strip()[-500:]}")
        building.replace(target)
        log.info("compiled %s", target)
    return ctypes.CDLL(str(target))
