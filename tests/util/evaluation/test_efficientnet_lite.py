"""EfficientNet-Lite0 is the published network: it recognises what is in photographs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_images import CPU, lite_extractor, noisy, scenes
from PIL import Image
from tiny_runs import optional_package

from util.evaluation import evaluate_pairs, make_extractor
from util.evaluation.efficientnet_lite import EfficientNetLite0, SameConv2d, build, prepared
from util.images import to_uint8

IMAGES = Path(__file__).parents[2] / "golden" / "images"
ESPRESSO = 967
"""The class of ImageNet."""


def levels(name: str) -> torch.Tensor:
    with Image.open(IMAGES / name) as image:
        return torch.from_numpy(to_uint8(image.convert("RGB")).copy()).unsqueeze(0)


def test_it_recognises_a_cup_of_coffee() -> None:
    net = lite_extractor().network.net
    with torch.inference_mode():
        _, logits = net(prepared(levels("coffee_101x147.png")))
    likely = logits.softmax(dim=1)[0]
    assert int(likely.argmax()) == ESPRESSO
    assert float(likely.max()) > 0.8


def test_features_are_pooled_and_there_is_a_map_of_each_resolution() -> None:
    image = levels("astronaut_140x90.png")[0].numpy()
    features, maps = lite_extractor()(image)
    assert features.shape == (1280,)
    assert [tuple(found.shape) for found in maps] == [
        *((16, 112, 112), (24, 56, 56), (40, 28, 28)),
        *((112, 14, 14), (320, 7, 7)),
    ]


def test_it_is_an_extractor_of_torch_fidelity() -> None:
    package = optional_package("torch_fidelity")
    lite = lite_extractor()
    created = package.utils.create_feature_extractor(
        "efficientnet-lite0", ["logits", "1280"], cuda=False, verbose=False
    )
    logits, features = created(levels("astronaut_140x90.png"))
    assert logits.shape == (1, 1000)
    alone, _ = lite(levels("astronaut_140x90.png")[0].numpy())
    assert torch.equal(features[0], alone)
    assert make_extractor("efficientnet-lite0", CPU).fingerprint == lite.fingerprint


def test_parameters_and_operations_are_those_published() -> None:
    net = EfficientNetLite0()
    parameters = sum(parameter.numel() for parameter in net.parameters())
    assert parameters == pytest.approx(4.7e6, rel=0.02)
    assert not any(name.endswith("_se_reduce") for name, _ in net.named_modules())


def test_padding_is_that_of_tensorflow() -> None:
    conv = SameConv2d(1, 1, 3, stride=2)
    torch.nn.init.ones_(conv.weight)
    image = torch.zeros(1, 1, 4, 4)
    image[..., 0, 0] = 1
    assert conv(image).tolist() == [[[[1, 0], [0, 0]]]]
    image = torch.zeros(1, 1, 4, 4)
    image[..., 2, 2] = 1  # where the four windows of stride 2 overlap
    assert conv(image).tolist() == [[[[1, 1], [1, 1]]]]
    assert conv(torch.zeros(1, 1, 7, 5)).shape == (1, 1, 4, 3)


def test_any_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RuntimeError, match="_conv_stem"):
        build({"_conv_stem.weight": torch.zeros(1)})


def test_preparation_keeps_the_range() -> None:
    image = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (1, 3, 30, 50), np.uint8))
    found = prepared(image)
    assert found.shape == (1, 3, 224, 224)
    assert -127 / 128 <= float(found.min()) < float(found.max()) <= 1


def test_torch_fidelity_computes_the_same_from_folders(tmp_path: Path) -> None:
    package = optional_package("torch_fidelity")
    real, fake = scenes(8), noisy(scenes(7, seed=1), 30)
    for name, images in (("real", real), ("fake", fake)):
        (tmp_path / name).mkdir()
        for stem, found in images.items():
            Image.fromarray(found.transpose(1, 2, 0)).save(tmp_path / name / f"{stem}.png")
    figures = evaluate_pairs(real, fake, lite_extractor(), ["fid", "kid", "recall"])
    expected = package.calculate_metrics(
        input1=str(tmp_path / "fake"),
        input2=str(tmp_path / "real"),
        feature_extractor="efficientnet-lite0",
        **dict.fromkeys(("fid", "kid", "prc", "save_cpu_ram"), True),
        **{"cuda": False, "verbose": False, "cache": False, "rng_seed": 0, "kid_subset_size": 3},
    )
    found = {figure.metric: figure.value for figure in figures.values()}
    assert found["fid"] == pytest.approx(expected[package.KEY_METRIC_FID], rel=1e-4)
    assert found["kid"] == pytest.approx(expected[package.KEY_METRIC_KID_MEAN], abs=1e-4)
    assert found["recall"] == pytest.approx(expected[package.KEY_METRIC_RECALL], abs=1e-4)
    assert "FID[efficientnet-lite0]" in figures
