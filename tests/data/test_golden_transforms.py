"""Preprocessing gives the reference's pixels."""

from argparse import Namespace
from typing import Any

import pytest
from golden_figures import GOLDEN, assert_like, load

from data.image_folder import read_image
from data.transforms import CropFlip, load_tensor


@pytest.mark.parametrize(
    "case",
    load("transforms"),
    ids=lambda case: "-".join(
        str(case[key]) for key in ("image", "preprocess", "flip", "grayscale")
    ),
)
def test_preprocessing_is_the_reference_preprocessing(case: dict[str, Any]) -> None:
    image = read_image(str(GOLDEN / "images" / case["image"]))
    opt = Namespace(**{key: case[key] for key in ("preprocess", "load_size", "crop_size")})
    crop_flip = CropFlip(*case["crop_pos"], flip=case["flip"])
    tensor = load_tensor(image, opt, 1 if case["grayscale"] else 3, crop_flip)
    assert tensor.dtype.is_floating_point
    assert_like(tensor, case, relative=1e-6)
