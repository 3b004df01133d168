"""The functions that third-party data sets call: transforms by `opt`, and the folder of images."""

import pickle
import random
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, picture
from golden_figures import GOLDEN, assert_like, load
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import Compose

from data.base_dataset import get_params, get_transform
from data.image_folder import ImageFolder, default_loader, read_image
from data.transforms import PREPROCESS, CropFlip, load_tensor
from options.test_options import TestOptions
from util.errors import UserError
from util.images import to_float_tensor
from util.options import Options

Make = Callable[..., Options]
CASES = load("transforms")
CROPS = [mode for mode, steps in PREPROCESS.items() if "crop" in steps]


def case_options(case: dict[str, Any]) -> tuple[Namespace, dict[str, Any]]:
    opt = Namespace(**{key: case[key] for key in ("preprocess", "load_size", "crop_size")})
    opt.no_flip, opt.max_size = False, None
    return opt, {"crop_pos": tuple(case["crop_pos"]), "flip": case["flip"]}


def test_helpers_need_no_more_options_than_those_of_the_reference() -> None:
    opt = Namespace(preprocess="resize_and_crop", load_size=20, crop_size=16, no_flip=True)
    assert get_transform(opt)(picture(0, 40, 40)).shape == (3, 16, 16)
    assert get_params(opt, (40, 40)).keys() == {"crop_pos", "flip"}


@pytest.mark.parametrize("case", CASES)
def test_get_transform_is_the_reference_preprocessing_and_our_own(case: dict[str, Any]) -> None:
    image = read_image(str(GOLDEN / "images" / case["image"]))
    opt, params = case_options(case)
    transform = get_transform(opt, params, grayscale=case["grayscale"])
    assert isinstance(transform, Compose)
    tensor = transform(image)
    assert type(tensor) is torch.Tensor
    assert tensor.dtype == torch.float32
    assert_like(tensor, case, relative=1e-6)
    channels = 1 if case["grayscale"] else 3
    own = load_tensor(image, opt, channels, CropFlip(*params["crop_pos"], flip=params["flip"]))
    assert torch.equal(tensor, own)


@pytest.mark.parametrize("grayscale", [False, True])
def test_every_level_becomes_the_same_float_as_on_our_own_path(
    grayscale: bool, train_opt: Make
) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    transform = get_transform(train_opt("--preprocess", "none", "--no_flip"), grayscale=grayscale)
    tensor = transform(Image.fromarray(levels).convert("RGB"))
    assert torch.equal(tensor, to_float_tensor(levels[None]).expand(1 if grayscale else 3, -1, -1))


def test_convert_false_gives_an_image(train_opt: Make) -> None:
    image = get_transform(train_opt(), convert=False)(picture(1, 50, 40))
    assert isinstance(image, Image.Image)
    assert image.size == (32, 32)


@pytest.mark.parametrize("method", [Image.Resampling.NEAREST, 0, InterpolationMode.NEAREST])
def test_the_interpolation_is_chosen(method: Any, train_opt: Make) -> None:
    opt = train_opt("--no_flip", "--load_size", "32")
    image = get_transform(opt, method=method, convert=False)(picture(1, 50, 40))
    nearest = picture(1, 50, 40).resize((32, 32), Image.Resampling.NEAREST)
    assert np.array_equal(np.asarray(image), np.asarray(nearest))


@pytest.mark.parametrize("mode", CROPS)
def test_params_stay_inside_and_follow_the_random_numbers_of_python(
    mode: str, train_opt: Make
) -> None:
    opt = train_opt("--preprocess", mode, "--crop_size", "32", "--load_size", "40")
    random.seed(1)
    drawn = [get_params(opt, (44, 48)) for _ in range(200)]
    random.seed(1)
    assert [get_params(opt, (44, 48)) for _ in range(200)] == drawn
    x, y = (sorted({params["crop_pos"][axis] for params in drawn}) for axis in (0, 1))
    right, bottom = {"crop": (12, 16), "scale_width_and_crop": (8, 11)}.get(mode, (8, 8))
    assert (x[0], y[0]) == (0, 0)
    assert (x[-1], y[-1]) == (right, bottom)
    assert {params["flip"] for params in drawn} == {False, True}


def test_params_make_two_images_alike_and_without_them_each_draws(train_opt: Make) -> None:
    opt, image = train_opt(), picture(1, 44, 48)
    params = get_params(opt, image.size)
    assert torch.equal(get_transform(opt, params)(image), get_transform(opt, params)(image))
    transform = get_transform(opt)
    assert any(not torch.equal(transform(image), transform(image)) for _ in range(20))


def test_no_flip_holds_with_and_without_params(train_opt: Make) -> None:
    opt, image = train_opt("--no_flip", "--preprocess", "none"), picture(1, 40, 48)
    plain = load_tensor(image, opt, 3, CropFlip())
    assert all(torch.equal(get_transform(opt)(image), plain) for _ in range(20))
    assert torch.equal(get_transform(opt, {"crop_pos": (0, 0), "flip": True})(image), plain)
    assert not any(get_params(opt, image.size)["flip"] for _ in range(20))


def test_at_inference_the_crop_is_central_and_nothing_is_flipped(pictures: Path) -> None:
    words = ["--dataroot", str(pictures / "testA"), "--preprocess", "crop", "--crop_size", "32"]
    opt = TestOptions().parse(words)
    assert get_params(opt, (40, 48)) == {"crop_pos": (4, 8), "flip": False}
    image = picture(1, 40, 48)
    expected = load_tensor(image, opt, 3, CropFlip(4, 8))
    assert all(torch.equal(get_transform(opt)(image), expected) for _ in range(10))


@pytest.mark.parametrize("params", [None, {"crop_pos": (0, 0), "flip": False}])
def test_an_image_too_small_for_the_crop_is_an_error_with_a_remedy(
    params: dict[str, Any] | None, train_opt: Make
) -> None:
    opt = train_opt("--preprocess", "crop", "--crop_size", "44")
    with pytest.raises(UserError, match=r"--crop_size 44: an image \(41x48\) is too small"):
        get_transform(opt, params)(picture(1, 41, 48))
    with pytest.raises(UserError, match=r"--crop_size 44: an image \(41x48\) is too small"):
        get_params(opt, (41, 48))


def test_a_transform_can_be_sent_to_worker_processes(train_opt: Make) -> None:
    opt, image = train_opt(), picture(1, 44, 48)
    transform = get_transform(opt, get_params(opt, image.size))
    assert torch.equal(pickle.loads(pickle.dumps(transform))(image), transform(image))


def test_image_folder_gives_images_transformed_and_with_their_paths(pictures: Path) -> None:
    folder = ImageFolder(str(pictures / "trainA"))
    assert len(folder) == 5
    assert folder[2].mode == "RGB"
    assert np.array_equal(np.asarray(folder[2]), np.asarray(default_loader(folder.imgs[2])))
    sizes = ImageFolder(pictures / "trainA", transform=lambda image: image.size, return_paths=True)
    assert sizes[0] == ((41, 48), str(pictures / "trainA" / "deeper" / "trainA_1.png"))
    assert ImageFolder(pictures / "trainA", loader=lambda path: path)[1] == folder.imgs[1]
    (pictures / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no image"):
        ImageFolder(pictures / "empty")


@pytest.mark.parametrize("script", ["01_train", "02_inference"])
def test_help_does_not_import_torchvision(script: str) -> None:
    code = "import importlib, sys\n"
    code += f"try: importlib.import_module('{script}').main(['--help'])\n"
    code += "except SystemExit: sys.exit('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert b"--dataroot" in done.stdout
    assert done.returncode == 0
