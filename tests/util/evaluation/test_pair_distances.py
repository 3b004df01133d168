"""Distances of pairs agree with published implementations."""

from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_images import noisy
from PIL import Image

from util.evaluation.pair_distances import l1, lpips_like, of_size, psnr, ssim
from util.images import Uint8Image, to_uint8

IMAGE = Path(__file__).parents[2] / "golden" / "images" / "astronaut_140x90.png"


@pytest.fixture
def image() -> Uint8Image:
    with Image.open(IMAGE) as file:
        return to_uint8(file.convert("RGB"))


def half_and_back(levels: Uint8Image) -> Uint8Image:
    _, height, width = levels.shape
    image = Image.fromarray(levels.transpose(1, 2, 0))
    small = image.resize((width // 2, height // 2), Image.Resampling.BILINEAR)
    return to_uint8(small.resize((width, height), Image.Resampling.BILINEAR))


def test_ssim_and_psnr_are_those_of_scikit_image(image: Uint8Image) -> None:
    # structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    # data_range=255, channel_axis=0) and peak_signal_noise_ratio of scikit-image 0.26
    soft, grainy = half_and_back(image), noisy({"image": image}, 20)["image"]
    assert ssim(soft, image) == pytest.approx(0.782476640758, abs=1e-9)
    assert ssim(grainy, image) == pytest.approx(0.586081249267, abs=1e-9)
    assert psnr(soft, image) == pytest.approx(27.161487485656, abs=1e-9)
    assert psnr(grainy, image) == pytest.approx(22.284784450659, abs=1e-9)


def test_ssim_of_images_smaller_than_its_window() -> None:
    small = np.arange(48, dtype=np.uint8).reshape(3, 4, 4) * 5
    assert ssim(small, small) == pytest.approx(1)
    assert ssim(small, 255 - small) < 0.9


def test_l1_knows_the_sign_of_no_difference() -> None:
    dark, bright = np.full((3, 4, 4), 10, np.uint8), np.full((3, 4, 4), 250, np.uint8)
    assert l1(dark, bright) == l1(bright, dark) == 240


def test_the_lpips_like_distance_compares_directions() -> None:
    along, across = torch.zeros(2, 5, 5), torch.zeros(2, 5, 5)
    along[0], across[1] = 3, 7
    assert lpips_like([along], [along * 9]) == 0
    assert lpips_like([along], [across]) == pytest.approx(2)
    assert lpips_like([along, along], [across, across]) == pytest.approx(4)


def test_of_size(image: Uint8Image) -> None:
    assert of_size(image, (90, 140)) is image
    assert of_size(image, (45, 70)).shape == (3, 45, 70)
