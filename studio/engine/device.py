"""Where the models run and in which precision, and why: decided from the settings and what the machine can do.

A GPU whose driver does not fit never stops the studio: it runs on the CPU and says so. On the CPU the dtype is
float32, or bfloat16 where `studio.engine.precision` measured that it pays; never float16, which CPUs emulate.
"""

from __future__ import annotations

import platform
import warnings
from dataclasses import dataclass

import psutil
import torch

from studio.errors import SettingsError
from studio.settings import Settings


@dataclass(frozen=True, slots=True)
class Placement:
    """Device and dtypes for one model: `dtype` for the denoiser, `precise` for what must not be rounded.

    `offload` is a rung of `studio.engine.offload.LADDER`, `quantization` a form of `studio.engine.quantization`.
    """

    device: str
    dtype: str
    precise: str = "float32"
    offload: str = ""
    quantization: str = "none"

    @property
    def home(self) -> torch.device:
        """Where the weights lie while nothing runs: the CPU when parts are moved in."""
        return torch.device("cpu") if self.offload else self.torch_device

    @property
    def torch_device(self) -> torch.device:
        """As torch names it."""
        return torch.device(self.device)

    @property
    def torch_dtype(self) -> torch.dtype:
        """As torch names it."""
        return getattr(torch, self.dtype)

    @property
    def precise_dtype(self) -> torch.dtype:
        """As torch names it."""
        return getattr(torch, self.precise)


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """The device in use.

    Attributes:
        device: "cpu", "cuda:0" or "mps".
        dtype: The dtype if it is settled for every model, or "" when it is measured per model (on a CPU).
        reason: Why a GPU that is there is not used; empty when all is well. For the banner and the doctor.
    """

    device: str
    dtype: str
    reason: str = ""

    def describe(self) -> list[str]:
        """Return one line per device of this machine, the one in use first."""
        lines = [_cpu_text()]
        if torch.cuda.is_available():
            for index in range(torch.cuda.device_count()):
                found = torch.cuda.get_device_properties(index)
                lines.append(f"cuda:{index}: {found.name}, {found.total_memory / 1e9:.0f} GB")
        if torch.backends.mps.is_available():
            lines.append("mps: Apple GPU")
        lines.sort(key=lambda line: not line.startswith(self.device.split(":")[0]))
        return [f"{lines[0]} (in use)", *lines[1:]]

    def precision_text(self) -> str:
        """Return the precision in words."""
        if self.dtype:
            return self.dtype
        if has_fast_bfloat16():
            return "bfloat16 where a model is faster in it and looks the same, else float32 (measured per model)"
        return "float32 (this CPU has no fast bfloat16)"

    def placement(self, dtype: str) -> Placement:
        """Return the placement of a model on this device in `dtype`, or in the settled one."""
        return Placement(self.device, self.dtype or dtype)

    def free_bytes(self) -> int:
        """Return the memory that is free on the device."""
        if self.device.startswith("cuda"):
            return torch.cuda.mem_get_info(torch.device(self.device))[0]
        return psutil.virtual_memory().available

    def total_bytes(self) -> int:
        """Return the memory the device has."""
        if self.device.startswith("cuda"):
            return torch.cuda.mem_get_info(torch.device(self.device))[1]
        return psutil.virtual_memory().total


def choose_device(settings: Settings) -> DeviceChoice:
    """Return the device that the settings ask for and the machine can serve.

    Raises:
        SettingsError: The settings name a device that does not exist, or float16 on a CPU.
    """
    wanted, reason = settings.device, ""
    if wanted not in ("auto", "cpu", "mps") and not (wanted == "cuda" or wanted.removeprefix("cuda:").isdigit()):
        raise SettingsError(f'There is no device "{wanted[:40]}".', "Use auto, cpu, cuda, cuda:1 or mps.")
    device = "cpu"
    if wanted.startswith("cuda") or wanted == "auto":
        name = f"cuda:{wanted.partition(':')[2] or 0}"
        reason = _why_not(name)
        if not reason and torch.cuda.is_available():
            device = name
        elif wanted != "auto" and not reason:
            reason = "This machine has no NVIDIA GPU that torch can use, so the studio runs on the CPU."
    if device == "cpu" and wanted in ("auto", "mps") and torch.backends.mps.is_available():
        device = "mps"
    if device == "cpu" and settings.dtype == "float16":
        raise SettingsError("float16 is not for CPUs: they only emulate it.", "Set dtype to auto or float32.")
    return DeviceChoice(device, _settled_dtype(device, settings.dtype), reason)


def has_fast_bfloat16() -> bool:
    """Return whether the CPU has bfloat16 instructions (AVX512-BF16, AMX, or Arm's).

    oneDNN's own answer says yes to every AVX-512 CPU, where it emulates them four times slower than float32.
    """
    capabilities = torch.cpu.get_capabilities()
    if capabilities.get("architecture") in ("x86_64", "AMD64"):
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(supported and supported()) and torch.backends.cpu.get_cpu_capability() != "DEFAULT"


def _settled_dtype(device: str, wanted: str) -> str:
    if wanted != "auto":
        return wanted
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device == "mps":
        return "float16"
    return "" if has_fast_bfloat16() else "float32"


def _why_not(name: str) -> str:
    """Return why the GPU cannot be used although there is one; empty when it works or there is none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if not available:
        said = next((str(w.message) for w in caught if "driver" in str(w.message).lower()), "")
        if not said:
            return ""
        return f"The NVIDIA driver does not fit this torch, so the studio runs on the CPU: {said.splitlines()[0][:200]}"
    if int(name.partition(":")[2]) >= torch.cuda.device_count():
        return f"There is no {name}: this machine has {torch.cuda.device_count()}. The studio runs on the CPU."
    try:
        probe = torch.ones(8, 8, device=name)
        float((probe @ probe).sum())
    except RuntimeError as error:
        return f"The GPU cannot be used, so the studio runs on the CPU: {str(error).splitlines()[0][:200]}"
    return ""


def _cpu_text() -> str:
    return f"cpu: {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
