"""The benchmark measures every variant that it lists."""

import json
import re
import subprocess
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from script_modules import script

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--ngf", "4", "--ndf", "4", "--netG", "resnet_6blocks", "--crop_size", "32"]


def rows(tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    command = [sys.executable, "scripts/benchmark.py", *words, "--json", str(tmp_path / "rows")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "rows").read_text())
    for row in found:
        assert next(iter(row.values())) in run.stdout
    return found


@pytest.mark.slow
def test_steps_of_training(tmp_path: Path) -> None:
    ways = ["--ways", "fp32", "fp32 + checkpoint", "--rounds", "2", "--device", "cpu"]
    plain, fused, checkpointed = rows(tmp_path, "train", *ways, *TINY)
    assert [row["way"] for row in (plain, fused)] == ["plain", "fp32"]
    assert plain["speed"] == plain["memory"] == "1.00x"
    assert fused["operations"] < 0.75 * plain["operations"]
    assert checkpointed["operations"] > fused["operations"]
    for row in (plain, fused, checkpointed):
        assert row["s/step"] > 0
        assert row["peak GB"] > 0.1
        assert row["TFLOP/s"] > 0
        assert re.fullmatch(r"\d+ %", row["of conv rate"])  # 0 % on networks as tiny as these


@pytest.mark.slow
def test_the_profile_of_training(tmp_path: Path) -> None:
    plain, fused = rows(tmp_path, "train", "--profile", "--ways", "fp32", "--device", "cpu", *TINY)
    for row in (plain, fused):
        kinds = {name: value for name, value in row.items() if name not in ("way", "sum")}
        assert row["sum"] == pytest.approx(sum(kinds.values()))
        assert kinds["convolutions"] > 0
        assert kinds["compiled kernels"] == 0


def test_a_row_has_its_shares_and_its_ratios_to_the_plain_way(monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    train = import_module("benchmark_train")
    seconds = {"plain": [4.0, 3.0, 9.0], "bf16": [2.0, 1.0, 8.0]}
    workers = {name: Namespace(seconds=values) for name, values in seconds.items()}
    same = {"flop": 12e12, "batch": 6, "operations": 900, "first": 5.0}
    facts = {"plain": {**same, "half": False, "peak": 8e9}, "bf16": {**same, "half": True}}
    facts["bf16"].update(peak=6e9, operations=450)
    rates = {"float32": 5e12, "half": 24e12}
    plain, half = (train.row(name, workers, facts, rates) for name in seconds)
    assert (plain["s/step"], plain["TFLOP/s"], plain["of conv rate"]) == (4, 3, "60 %")
    assert (half["s/step"], half["TFLOP/s"], half["of conv rate"]) == (2, 6, "25 %")
    assert (half["images/s"], half["speed"], half["memory"]) == (3, "2.00x", "0.75x")
    assert (half["peak GB"], half["operations"], half["of plain"]) == (6, 450, "0.50x")


def test_the_profile_groups_what_a_step_computes() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.GroupNorm(8, 8), torch.nn.ReLU())
    optimizer = torch.optim.Adam(net.parameters(), fused=True)

    def step() -> None:
        net(torch.ones(1, 3, 16, 16).double().float()).sum().backward()
        optimizer.step()

    kinds = script("benchmark_profile").milliseconds_by_kind(step, 2, on_gpu=False)
    present = {name for name, milliseconds in kinds.items() if milliseconds > 0}
    expected = {"convolutions", "norms", "activations", "casts, copies", "optimizer", "other"}
    assert present == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::convolution_backward", "convolutions"),
        ("mkldnn::_convolution_pointwise", "convolutions"),
        ("aten::native_group_norm_backward", "norms"),
        ("aten::reflection_pad2d_backward", "padding"),
        ("aten::threshold_backward", "activations"),
        ("aten::_fused_adam_", "optimizer"),
        ("graph_0_cpp_fused_convolution_backward_native_group_norm_3", "compiled kernels"),
        ("triton_poi_fused_relu_1", "compiled kernels"),
        ("aten::addmm", "matrix products"),
        ("aten::mse_loss", "other"),
    ],
)
def test_a_kind_of_the_profile(name: str, kind: str) -> None:
    assert script("benchmark_profile").kind_of(name) == kind


@pytest.mark.slow
def test_the_share_of_communication(tmp_path: Path) -> None:
    one, two = rows(tmp_path, "ranks", "--rounds", "2", *TINY)
    assert [row["processes"] for row in (one, two)] == ["1 x 1", "2 x 1"]
    assert (one["exchange s"], one["MB/step"], one["efficiency"]) == (0, 0, "100 %")
    assert 0 < two["exchange s"] < two["s/step"]
    networks = 4 * (2 * 31_939 + 2 * 11_517) / 1e6
    assert networks < two["MB/step"] < networks + 0.2  # and images for the pools


@pytest.mark.slow
def test_images_of_inference(tmp_path: Path) -> None:
    few = ["--images", "2", "--size", "32", "--ngf", "4", "--ways", "fp32", "bf16"]
    found = rows(tmp_path, "infer", *few)
    assert [row["way"] for row in found] == ["plain loop", "fp32", "bf16"]
    assert all(row["images/s"] == pytest.approx(2 / row["s"]) for row in found)


@pytest.mark.slow
def test_pairs_of_the_loader(tmp_path: Path) -> None:
    found = rows(tmp_path, "load", "--images", "3", "--rounds", "1")
    names = [row["way"] for row in found]
    assert names[0] == "plain"
    assert {"full decode", "draft", "cache ram", "cache disk"} <= set(names)
    assert all(row["pairs/s"] > 0 for row in found)


def test_an_unknown_flag_ends_with_exit_code_2() -> None:
    command = [sys.executable, "scripts/benchmark.py", "load", "--what"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert "unrecognized arguments: --what" in run.stderr
