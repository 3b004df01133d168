"""Data sets: the images, crops and flips that they choose, and their errors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import picture
from PIL import Image

from data import create_dataset, dataset_names, find_dataset_using_name
from data.image_folder import find_images, make_dataset, read_image
from data.single_dataset import SingleDataset
from data.unaligned_dataset import UnalignedDataset
from options.test_options import TestOptions
from util.errors import DataError, UnreadableImageError, UsageError, UserError
from util.images import save_image, tensor2im
from util.options import Options

Make = Callable[..., Options]


def test_folders_are_listed_recursively_sorted_and_only_images(pictures: Path) -> None:
    (pictures / "trainA" / "notes.txt").write_text("x")
    (pictures / "trainA" / ".hidden.png").write_text("x")
    (pictures / "trainA" / "UPPER.JPG").write_text("x")
    names = [Path(path).name for path in find_images(pictures / "trainA")]
    assert names == ["UPPER.JPG", "trainA_1.png", "trainA_0.png", "trainA_2.png",
                     "trainA_3.png", "trainA_4.png"]  # fmt: skip
    assert len(make_dataset(pictures / "trainA", 2)) == 2


def test_a_missing_folder_names_its_neighbours_and_an_empty_one_itself(pictures: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*trainC; .*testA, testB, trainA, trainB"):
        make_dataset(pictures / "trainC")
    (pictures / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no image"):
        make_dataset(pictures / "empty")


def test_unaligned_takes_A_by_index_and_B_randomly(train_opt: Make) -> None:
    dataset = UnalignedDataset(train_opt())
    assert len(dataset) == 5
    names = [[Path(dataset[i]["A_paths"]).name for i in range(5)] for _ in (1, 2)]
    assert names[0] == names[1]
    assert len(set(names[0])) == 5
    partners = set()
    for epoch in range(1, 9):
        dataset.epoch = epoch
        partners |= {(i, dataset[i]["B_paths"]) for i in range(5)}
    assert len(partners) > 10  # of 15 possible


@pytest.mark.parametrize(
    ("direction", "removed", "named_after"),
    [
        *(("AtoB", "", "A_paths"), ("BtoA", "", "A_paths")),
        *(("AtoB", "A", "B_paths"), ("BtoA", "A", "B_paths")),
        *(("AtoB", "equal", "A_paths"), ("BtoA", "equal", "B_paths")),
    ],
)
def test_results_are_named_after_the_longer_side_else_after_the_source(
    direction: str, removed: str, named_after: str, pictures: Path, train_opt: Make
) -> None:
    kept = {"": 5, "A": 2, "equal": 3}[removed]
    for path in sorted((pictures / "trainA").rglob("*.png"))[kept:]:
        path.unlink()
    opt = train_opt("--serial_batches", "--direction", direction).replace(isTrain=False)
    dataset = UnalignedDataset(opt)
    for i in range(len(dataset)):
        assert dataset[i]["image_paths"] == dataset[i][named_after] == dataset.image_paths[i]


def test_transforms_that_are_read_are_those_of_each_side(train_opt: Make) -> None:
    words = ("--input_nc", "1", "--output_nc", "3", "--lambda_identity", "0")
    dataset, image = UnalignedDataset(train_opt(*words)), Image.new("RGB", (80, 80))
    assert dataset.transform_A(image).shape[0] == 1
    assert dataset.transform_B(image).shape[0] == 3
    dataset.transform_A = lambda image: image
    assert dataset.transform_A(image) is image


def test_serial_batches_take_B_by_index_wrapping(train_opt: Make) -> None:
    dataset = UnalignedDataset(train_opt("--serial_batches"))
    assert [dataset[i]["B_paths"] for i in range(5)] == [dataset.B_paths[i % 3] for i in range(5)]


def test_an_item_depends_on_seed_epoch_and_index_alone(train_opt: Make) -> None:
    first, second = UnalignedDataset(train_opt()), UnalignedDataset(train_opt())
    second[3], second[0]  # what was read before does not matter
    assert torch.equal(first[2]["A"], second[2]["A"])
    assert first[2]["B_paths"] == second[2]["B_paths"]
    other = UnalignedDataset(train_opt("--seed", "2"))
    assert any(not torch.equal(first[i]["A"], other[i]["A"]) for i in range(5))
    second.epoch = 2
    assert any(not torch.equal(first[i]["A"], second[i]["A"]) for i in range(5))


def test_training_flips_half_of_the_images_and_no_flip_none(train_opt: Make) -> None:
    plain = ["--preprocess", "none", "--serial_batches"]
    flipped = 0
    dataset = UnalignedDataset(train_opt(*plain))
    straight = UnalignedDataset(train_opt(*plain, "--no_flip"))
    for epoch in range(1, 81):
        dataset.epoch = straight.epoch = epoch
        item, reference = dataset[0]["A"], straight[0]["A"]
        if not torch.equal(item, reference):
            assert torch.equal(item.flip(-1), reference)
            flipped += 1
    assert 20 < flipped < 60


def test_crops_reach_every_corner_and_stay_inside(train_opt: Make) -> None:
    dataset = UnalignedDataset(train_opt("--no_flip", "--crop_size", "32", "--load_size", "34"))
    whole = read_image(dataset.A_paths[0]).resize((34, 34), Image.Resampling.BICUBIC)
    pixels = np.asarray(whole)
    places = set()
    for epoch in range(1, 121):
        dataset.epoch = epoch
        crop = tensor2im(dataset[0]["A"][None])
        places |= {(x, y) for x in range(3) for y in range(3)
                   if np.array_equal(pixels[y:y + 32, x:x + 32], crop)}  # fmt: skip
    assert places == {(x, y) for x in range(3) for y in range(3)}


def test_channels_follow_the_domains_also_when_they_are_swapped(train_opt: Make) -> None:
    words = ("--input_nc", "1", "--output_nc", "3", "--lambda_identity", "0")
    item = UnalignedDataset(train_opt(*words))[0]
    assert (item["A"].shape[0], item["B"].shape[0]) == (1, 3)
    item = UnalignedDataset(train_opt(*words, "--direction", "BtoA"))[0]
    assert (item["A"].shape[0], item["B"].shape[0]) == (3, 1)


@pytest.mark.parametrize(
    ("mode", "flag", "channels"),
    [
        *(("aligned", flag, 2) for flag in ("input_nc", "output_nc")),
        *(("unaligned", flag, 4) for flag in ("input_nc", "output_nc")),
    ],
)
def test_channels_that_files_do_not_have_are_named(
    mode: str, flag: str, channels: int, train_opt: Make
) -> None:
    """Four channels of A and two of B would share the six of a pair, and two be read as three."""
    opt = train_opt("--dataset_mode", mode, "--model", "template")
    phase = "trainA" if mode == "aligned" else "train"
    dataset = find_dataset_using_name(mode)(opt.replace(phase=phase, **{flag: channels}))
    with pytest.raises(
        (DataError, UnreadableImageError), match=rf"it has 3 channels, not {channels} as --input_nc"
    ):
        dataset[0]


def test_a_data_set_that_reads_images_itself_may_refuse_channels(train_opt: Make) -> None:
    dataset = UnalignedDataset(train_opt().replace(input_nc=4))
    with pytest.raises(UsageError, match=r"^--input_nc 4: .* 1 channel .* or 3 "):
        dataset.check_channels("output_nc", "input_nc")


def test_a_image_too_small_for_the_crop_is_an_error_with_a_remedy(train_opt: Make) -> None:
    dataset = UnalignedDataset(train_opt("--preprocess", "crop", "--crop_size", "44"))
    with pytest.raises(UserError, match=r"--crop_size 44: .*trainA_1\.png \(41x48\) is too small"):
        dataset[0]


@pytest.mark.parametrize("mode", ["resize_and_crop", "crop", "scale_width",
                                  "scale_width_and_crop", "none"])  # fmt: skip
def test_at_test_every_mode_is_deterministic_and_unflipped(mode: str, pictures: Path) -> None:
    words = ["--dataroot", str(pictures / "testA"), "--preprocess", mode, "--crop_size", "32"]
    opt = TestOptions().parse([*words, "--load_size", "36"])
    dataset = SingleDataset(opt)
    first = dataset[0]["A"]
    dataset.epoch = 7
    assert torch.equal(first, dataset[0]["A"])
    sizes = {"resize_and_crop": (32, 32), "crop": (32, 32), "scale_width": (40, 36)}
    sizes |= {"scale_width_and_crop": (32, 32), "none": (48, 40)}
    assert tuple(first.shape[1:]) == sizes[mode]


def test_aligned_halves_are_share_one_crop_and_flip(tmp_path: Path, train_opt: Make) -> None:
    half = picture(1, 40, 40)
    pair = Image.new("RGB", (80, 40))
    pair.paste(half, (0, 0))
    pair.paste(half, (40, 0))
    (tmp_path / "pairs" / "train").mkdir(parents=True)
    pair.save(tmp_path / "pairs" / "train" / "1.png")
    opt = train_opt("--dataset_mode", "aligned").replace(dataroot=str(tmp_path / "pairs"))
    dataset = create_dataset(opt).dataset
    for epoch in range(1, 6):
        dataset.epoch = epoch
        assert torch.equal(dataset[0]["A"], dataset[0]["B"])


def test_colorization_gives_lightness_and_colour_that_restore_the_image(
    pictures: Path, train_opt: Make
) -> None:
    from util.lab import lab_to_rgb

    (pictures / "train").mkdir()
    picture(5, 40, 48).save(pictures / "train" / "x.png")
    words = ("--model", "colorization", "--preprocess", "none", "--no_flip")
    dataset = create_dataset(train_opt(*words)).dataset
    item = dataset[0]
    assert (item["A"].shape, item["B"].shape) == ((1, 48, 40), (2, 48, 40))
    rgb = tensor2im(lab_to_rgb(item["A"][None], item["B"][None]))
    original = np.asarray(read_image(item["A_paths"]))
    assert np.abs(rgb.astype(int) - original).max() <= 1
    with pytest.raises(UsageError, match="--input_nc 1 --output_nc 2"):
        create_dataset(train_opt(*words, "--output_nc", "3"))


def test_lab_of_known_colours() -> None:
    from util.lab import rgb_to_lab

    rgb = torch.tensor([[1.0, 1, 1], [-1, -1, -1], [1, -1, -1]]).T.reshape(1, 3, 1, 3)
    lightness, colour = rgb_to_lab(rgb)
    # CIE 1976 values of sRGB white, black and red
    assert torch.allclose((lightness + 1) * 50, torch.tensor([100, 0, 53.24]), atol=0.02)
    assert torch.allclose(colour[0, :, 0] * 110, torch.tensor([[0, 0, 80.09], [0, 0, 67.20]]),
                          atol=0.05)  # fmt: skip


def test_template_dataset_limits_its_length_and_scales_B(pictures: Path, train_opt: Make) -> None:
    opt = train_opt("--dataset_mode", "template", "--max_dataset_size", "4")
    dataset = create_dataset(opt.replace(dataroot=str(pictures / "trainA"))).dataset
    assert len(dataset) == 4
    assert torch.equal(dataset[0]["B"], (2 * dataset[0]["A"]).clamp(-1, 1))


def test_every_level_survives_reading_and_writing(tmp_path: Path, train_opt: Make) -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    original = np.stack([gray, gray[::-1], gray.T], axis=-1)
    (tmp_path / "in").mkdir()
    save_image(original, tmp_path / "in" / "levels.png")
    opt = TestOptions().parse(["--dataroot", str(tmp_path / "in"), "--preprocess", "none"])
    item = SingleDataset(opt)[0]
    save_image(tensor2im(item["A"][None]), tmp_path / "out.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), original)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16", "CMYK"])
def test_every_kind_of_image_is_read_as_rgb(mode: str, tmp_path: Path) -> None:
    path = str(tmp_path / f"x.{'tif' if mode in ('I;16', 'CMYK') else 'png'}")
    if mode == "I;16":
        Image.fromarray(np.full((4, 4), 257 * 100, np.uint16)).save(path)
        assert read_image(path).getpixel((0, 0)) == (100, 100, 100)
    else:
        picture(1, 8, 8).convert(mode).save(path)
    assert read_image(path).mode == "RGB"


def test_images_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture(1, 30, 20).save(tmp_path / "x.jpg", exif=exif)
    assert read_image(str(tmp_path / "x.jpg")).size == (20, 30)


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"bad\.png \(not an image\)"):
        read_image(str(tmp_path / "bad.png"))
    picture(1, 64, 64).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.jpg"):
        read_image(str(tmp_path / "cut.jpg"))


def test_factories_find_every_dataset_by_its_name() -> None:
    names = ["aligned", "colorization", "shards", "single", "template", "unaligned"]
    assert dataset_names() == names
    for name in dataset_names():
        assert find_dataset_using_name(name).__name__.lower() == f"{name}dataset"
