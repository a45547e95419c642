"""The benchmark runs and reports what it promises; what it measures is for quiet machines."""

from __future__ import annotations

import pytest

from studio.bench import codes
from studio.codebook.vqgan import Vqgan


@pytest.mark.thorough
def test_the_bench_times_every_part_and_checks_the_lookup(vqgan: Vqgan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "_model", lambda: vqgan)
    monkeypatch.setattr(codes, "SIZES", (64, 256))
    monkeypatch.setattr(codes, "DAB_SECONDS", 0)
    monkeypatch.setattr(codes, "LOOKUPS", ((500, 256, 8),))
    result = codes.run(2)
    for size in (64, 256):
        for part in ("encode", "exact decode", "local re-decode", "palette transfer"):
            timing = result[f"{part} {size}"]
            assert timing["rounds"] == 2 and 0 < timing["p50_ms"] <= timing["p95_ms"] * 1.001
            assert timing["interval_ms"][0] <= timing["p50_ms"] <= timing["interval_ms"][1]
        assert result[f"exact decode {size} / itself (noise)"]["ratio"] > 0
        assert result[f"local re-decode / exact decode {size}"]["ratio"] > 0
        dabs = result[f"dab {size}"]
        assert dabs["rounds"] == 2 * min(12, size // 8 - 1) and 0 <= dabs["error"] <= dabs["worst_error"] < 1
    assert result["lookup 500 x 256 x 8"]["same_indices"] is True and "cdist 500 x 256 x 8" in result
    for name in ("lookup / cdist 500 x 256 x 8", "lookup 500 x 256 x 8 / itself (noise)"):
        assert result[name]["interval"][0] <= result[name]["ratio"] <= result[name]["interval"][1]
    assert not [name for name in result if name.startswith("again")]
    assert result["dab 256"]["goal_ms"] == 60 and result["reach"]["paste"] >= 1 and result["atlas_seconds"] > 0
