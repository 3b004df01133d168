"""Figures by convention: what must be zero is, and what gets worse is measured as worse."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_images import Images, blurred, noisy, scenes, tiny_extractor
from PIL import Image
from tiny_runs import optional_package

from util.errors import UsageError, UserError
from util.evaluation import METRICS, Figure, evaluate_direction, evaluate_pairs
from util.evaluation.feature_distances import kid_subset_size
from util.evaluation.figures import best, title

DISTANCES = ("fid", "kid", "l1", "lpips_like")
LIKENESSES = ("psnr", "ssim")


def values(real: Images, fake: Images, *metrics: str, seed: int = 0) -> dict[str, float]:
    """Metric -> value, by the cheap extractor."""
    wanted = metrics or tuple(METRICS)
    figures = evaluate_pairs(real, fake, tiny_extractor(), wanted, seed=seed)
    return {figure.metric: figure.value for figure in figures.values()}


def test_a_set_against_itself() -> None:
    images = scenes(24)
    found = values(images, images)
    assert found["fid"] == pytest.approx(0, abs=1e-4)
    assert found["l1"] == found["lpips_like"] == 0
    assert found["ssim"] == pytest.approx(1, abs=1e-9)
    assert found["psnr"] == float("inf")
    assert found["precision"] == found["recall"] == 1
    kid = evaluate_pairs(images, images, tiny_extractor(), ["kid"])["KID[tiny]"]
    assert kid.spread is not None
    assert abs(kid.value) < 3 * kid.spread  # an unbiased estimate, which may be negative


@pytest.mark.parametrize(("worse", "how_much"), [(noisy, (20, 50, 100)), (blurred, (1, 2, 4))])
def test_noise_and_blur_move_every_figure_the_right_way(worse, how_much) -> None:
    images = scenes(24)
    found = [values(images, worse(images, strength)) for strength in how_much]
    for metric in DISTANCES:
        assert found[0][metric] < found[1][metric] < found[2][metric], metric
    for metric in LIKENESSES:
        assert found[0][metric] > found[1][metric] > found[2][metric], metric


def test_fewer_images_make_fid_larger_and_kid_no_larger() -> None:
    real, fake = scenes(200), scenes(200, seed=1)
    few = dict(list(fake.items())[:12])
    all_of_them, of_few = (values(real, images, "fid", "kid") for images in (fake, few))
    assert of_few["fid"] > 2 * all_of_them["fid"]  # biased, the more the fewer images
    figures = evaluate_pairs(real, few, tiny_extractor(), ["kid"])["KID[tiny]"]
    assert figures.spread is not None
    assert abs(figures.value - all_of_them["kid"]) < 2 * figures.spread


def test_a_collapsed_set_has_high_precision_and_low_recall() -> None:
    real = scenes(60)
    one = next(iter(real.values()))
    collapsed = noisy({f"fake_{number}": one for number in range(60)}, 0.4)
    found = values(real, collapsed, "precision", "recall")
    assert found["precision"] == 1
    assert found["recall"] < 0.2


def test_precision_is_of_the_translations_and_recall_of_the_real_images() -> None:
    real = scenes(60)
    one = next(iter(real.values()))
    collapsed = noisy({f"fake_{number}": one for number in range(60)}, 0.4)
    swapped = values(collapsed, real, "precision", "recall")
    assert swapped["recall"] == 1
    assert swapped["precision"] < 0.2


def test_distances_are_the_same_both_ways() -> None:
    first, second = scenes(30), blurred(scenes(30, seed=3), 2)
    there, back = values(first, second), values(second, first)
    for metric in ("fid", "l1", "psnr", "ssim", "lpips_like"):
        assert there[metric] == pytest.approx(back[metric], rel=1e-6, abs=1e-6), metric


def test_the_order_of_the_images_changes_no_bit() -> None:
    real, fake = scenes(20), noisy(scenes(20), 9)
    turned = dict(reversed(list(fake.items())))
    assert values(real, fake) == values(dict(reversed(list(real.items()))), turned)


def test_the_number_of_threads_changes_nothing() -> None:
    real, fake = scenes(20), noisy(scenes(20), 9)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(values(real, fake))
    finally:
        torch.set_num_threads(before)
    for metric, value in found[0].items():
        assert value == pytest.approx(found[1][metric], rel=1e-4, abs=1e-5), metric


def test_torch_fidelity_computes_the_same_from_folders(tmp_path: Path) -> None:
    package = optional_package("torch_fidelity")
    real, fake = scenes(30), noisy(scenes(26, seed=1), 9)
    for name, images in (("real", real), ("fake", fake)):
        (tmp_path / name).mkdir()
        for stem, levels in images.items():
            image = Image.fromarray(levels.transpose(1, 2, 0))
            image.save(tmp_path / name / f"{stem}.png")
    found = evaluate_pairs(real, fake, tiny_extractor(), seed=5)
    expected = package.calculate_metrics(
        input1=str(tmp_path / "fake"),
        input2=str(tmp_path / "real"),
        feature_extractor="tiny",
        **dict.fromkeys(("fid", "kid", "prc", "save_cpu_ram"), True),
        **{"cuda": False, "verbose": False, "cache": False, "batch_size": 7, "rng_seed": 5},
        kid_subset_size=kid_subset_size(30, 26),
    )
    for metric, key in {
        "FID": package.KEY_METRIC_FID,
        "KID": package.KEY_METRIC_KID_MEAN,
        "precision": package.KEY_METRIC_PRECISION,
        "recall": package.KEY_METRIC_RECALL,
    }.items():
        assert found[f"{metric}[tiny]"].value == pytest.approx(expected[key], abs=1e-4), metric
    assert found["KID[tiny]"].spread == pytest.approx(
        expected[package.KEY_METRIC_KID_STD], abs=1e-4
    )


def test_only_images_of_the_same_name_are_pairs() -> None:
    real, fake = scenes(8), noisy(scenes(8), 9)
    renamed = {
        name if number < 3 else f"other {name}": i for number, (name, i) in enumerate(fake.items())
    }
    figures = evaluate_pairs(real, renamed, None, ["l1"])
    assert figures["L1"].protocol.startswith("3 pairs")
    only = {name: levels for name, levels in renamed.items() if name in real}
    assert figures["L1"].value == values({name: real[name] for name in only}, only, "l1")["l1"]
    strangers = {f"other {name}": levels for name, levels in fake.items()}
    assert evaluate_pairs(real, strangers, None, ["l1", "psnr"]) == {}


def test_a_pair_of_two_sizes_is_compared_at_that_of_the_answer() -> None:
    real = {"flat": np.full((3, 20, 30), 100, np.uint8)}
    fake = {"flat": np.full((3, 10, 15), 90, np.uint8)}
    assert evaluate_pairs(real, fake, None, ["l1"])["L1"].value == 10


def test_figures_that_need_more_images_are_left_out_and_said(caplog) -> None:
    images = scenes(3)
    found = values(images, images)
    assert set(found) == {"fid", *LIKENESSES, "l1", "lpips_like"}
    assert "KID[tiny] needs at least 4 images of each set; there are 3 and 3" in caplog.text


def test_nothing_to_compare() -> None:
    with pytest.raises(UserError, match="holds no image"):
        evaluate_pairs(scenes(2), {}, None, ["l1"])
    with pytest.raises(UsageError, match="did you mean fid"):
        evaluate_pairs(scenes(2), scenes(2), None, ["fit"])


def test_subsets_of_kid_are_half_of_a_small_set() -> None:
    assert kid_subset_size(5000, 30) == 15
    assert kid_subset_size(5000, 2400) == 1000
    protocol = evaluate_pairs(scenes(9), scenes(8), tiny_extractor(), ["kid"], seed=3)
    assert "100 subsets of 4, seed 3" in protocol["KID[tiny]"].protocol


def test_plain_names_belong_to_inception() -> None:
    assert title("fid", "inception-v3-compat") == "FID"
    assert title("kid", "inception-v3-compat") == "KID"
    assert title("fid", "efficientnet-lite0") == "FID[efficientnet-lite0]"
    assert title("precision", "inception-v3-compat") == "precision[inception-v3-compat]"
    assert title("lpips_like", "inception-v3-compat") == "LPIPS-like[inception-v3-compat]"
    assert title("ssim", "efficientnet-lite0") == "SSIM"


def test_the_best_of_several() -> None:
    def of(metric: str, *found: float) -> dict[str, Figure]:
        return {str(place): Figure(metric, value, "") for place, value in enumerate(found)}

    assert best(of("fid", 3, 1, 2)) == "1"
    assert best(of("ssim", 0.3, 0.1, 0.3)) == "0"
    assert best(of("recall", 0, 0)) is None
    assert best(of("fid", float("nan"), 3, 1)) == "2"
    assert best({}) is None


def test_the_best_is_among_those_of_the_protocol_of_the_latest_epoch() -> None:
    values = {"20": (3, "b"), "5": (1, "a"), "10": (4, "b")}
    figures = {key: Figure("fid", float(v), protocol) for key, (v, protocol) in values.items()}
    assert best(figures) == "20"
    del figures["20"], figures["5"]
    assert best({**figures, "11": Figure("fid", 9.0, "a")}) is None


def halved(images: torch.Tensor) -> torch.Tensor:
    return images / 2


def test_errors_of_cycle_and_identity_are_in_levels() -> None:
    inputs = {name: np.full((3, 16, 16), 255, np.uint8) for name in "ab"}  # 1 in [-1, 1]
    real = {name: np.zeros((3, 16, 16), np.uint8) for name in "cd"}  # -1
    figures = evaluate_direction(
        inputs, real, halved, None, ["cycle", "identity"], backward=lambda images: images * 1.5
    )
    assert figures["cycle error"].value == pytest.approx(0.25 * 127.5)
    assert figures["identity error"].value == pytest.approx(0.5 * 127.5)
    assert evaluate_direction(inputs, real, halved, None, ["cycle", "identity"]) == {}


def test_translations_are_rounded_as_saved_images_are() -> None:
    inputs = {"a": np.full((3, 16, 16), 101, np.uint8)}
    figures = evaluate_direction(inputs, inputs, lambda images: images + 0.4 / 127.5, None, ["l1"])
    assert figures["L1"].value == 0


def drawing(images: torch.Tensor) -> torch.Tensor:
    """Draws from every global stream, as dropout and careless code do."""
    noise = torch.rand(images.shape) + random.random() + float(np.random.rand())
    return (images + noise / 10).clamp(-1, 1)


def test_it_repeats_bit_for_bit_and_moves_no_random_stream() -> None:
    inputs, real = scenes(10), scenes(12, seed=2)

    def measure(seed: int) -> dict[str, Figure]:
        return evaluate_direction(
            inputs, real, drawing, tiny_extractor(), backward=drawing, seed=seed
        )

    def draws() -> list[float]:
        return [float(torch.rand(())), random.random(), float(np.random.rand())]

    def start() -> None:
        torch.manual_seed(7)
        random.seed(7)
        np.random.seed(7)

    start()
    untouched = draws()
    start()
    first = measure(0)
    assert draws() == untouched
    draws()
    assert measure(0) == first
    assert measure(1) != first


def test_switches_of_pytorch_are_as_before() -> None:
    def switches() -> list[object]:
        cudnn = torch.backends.cudnn
        return [
            *(cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
            *(torch.backends.cuda.matmul.allow_tf32, torch.get_num_threads()),
            *(torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        ]

    before = switches()
    network = torch.nn.Conv2d(3, 3, 1)
    evaluate_direction(scenes(4), scenes(4), network, tiny_extractor(), backward=network)
    assert switches() == before
    assert all(parameter.grad is None for parameter in network.parameters())
