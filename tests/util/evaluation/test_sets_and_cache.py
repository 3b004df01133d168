"""Sets of images by name, and features that are computed once."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_images import scenes, tiny_extractor
from PIL import Image

from util.evaluation import Extractor, FeatureCache, ImageSet
from util.evaluation.image_set import Preparation


def store(folder: Path, *names: str, seed: int = 0) -> list[str]:
    """Images of these names; their paths in the order of the names given."""
    paths = []
    for name, levels in zip(names, scenes(len(names), seed).values(), strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels.transpose(1, 2, 0)).save(path)
        paths.append(str(path))
    return paths


def images_of(folder: Path, paths: list[str], size: str = "own size", label: str = "") -> ImageSet:
    return ImageSet(folder, paths, Image.open, Preparation(size), label)


class Counting:
    """An extractor that counts."""

    def __init__(self) -> None:
        self.inner, self.calls = tiny_extractor(), 0
        self.fingerprint, self.device = self.inner.fingerprint, self.inner.device

    def features(self, images) -> torch.Tensor:
        self.calls += 1
        return self.inner.features(images)


def test_names_are_paths_below_the_folder_without_ending(tmp_path: Path) -> None:
    paths = store(tmp_path, "b.png", "deeper/a.jpg", "a.png", "a.jpg")
    images = images_of(tmp_path, paths)
    assert list(images) == ["a", "a_png", "b", "deeper/a"]
    assert images["b"].shape == (3, 24, 24)
    assert images["b"].dtype == np.uint8


def test_a_label_chooses_the_images_of_a_gallery(tmp_path: Path) -> None:
    paths = store(tmp_path, "a_real.png", "a_fake.png", "b_fake_B.png", "b_fake.png")
    assert list(images_of(tmp_path, paths, label="fake")) == ["a", "b"]
    assert list(images_of(tmp_path, paths, label="fake_B")) == ["b"]


def test_a_limit_draws_the_same_names_of_two_sets(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(20)]
    first = images_of(tmp_path / "A", store(tmp_path / "A", *names))
    second = images_of(tmp_path / "B", store(tmp_path / "B", *reversed(names), seed=1))
    drawn = list(first.limited(6, seed=0))
    assert len(drawn) == 6
    assert drawn == sorted(drawn) == list(second.limited(6, seed=0))
    assert drawn != list(first.limited(6, seed=1))
    assert list(first.limited(None, seed=1)) == list(first)


@pytest.mark.parametrize(
    ("real", "fake", "pairs"),
    [
        (["a.jpg", "a.png"], ["a.png"], {"a.png": "a.png"}),
        (["a.png"], ["a.jpg", "a.png"], {"a.png": "a.png"}),
        (["a.jpg", "a.png"], ["a.bmp", "a.jpg"], {"a.jpg": "a.jpg"}),
        (["a.jpg", "b.png"], ["a.png", "b.png", "c.png"], {"a.png": "a.jpg", "b.png": "b.png"}),
        # results of 02_inference.py for the two images
        (["a.jpg", "a.png"], ["a.png", "a_png.png"], {"a.png": "a.jpg", "a_png.png": "a.png"}),
        (["a.png", "a_png.png"], ["a.jpg", "a.png"], {"a.jpg": "a.png", "a.png": "a_png.png"}),
    ],
    ids=lambda value: "-".join(value),
)
def test_pairs_are_found_by_full_names_first(
    real: list[str], fake: list[str], pairs: dict[str, str], tmp_path: Path
) -> None:
    answers = images_of(tmp_path / "real", store(tmp_path / "real", *real))
    images = images_of(tmp_path / "fake", store(tmp_path / "fake", *fake)).named_as(answers)
    assert sorted(Path(path).name for path in images.paths.values()) == sorted(fake)
    found = {name: Path(images.paths[name]).name for name in images if name in answers}
    assert {found[name]: Path(answers.paths[name]).name for name in found} == pairs


@pytest.mark.parametrize("label", ["", "fake"])
def test_ambiguous_files_make_no_pairs(
    label: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    real = images_of(tmp_path / "real", store(tmp_path / "real", "a.jpg", "a.png"))
    name = "a_fake.png" if label else "a.bmp"
    fake = images_of(tmp_path / "fake", store(tmp_path / "fake", name), label=label)
    for one, other in ((fake, real), (real, fake)):
        assert not set(one.named_as(other)) & set(other)
    assert caplog.text.count("a.png differ in the ending alone") == 2


def test_features_are_computed_once(tmp_path: Path) -> None:
    paths = store(tmp_path / "images", "a.png", "b.png")
    extractor, folder = Counting(), tmp_path / "cache" / "features"
    first = FeatureCache(folder).features(images_of(tmp_path, paths), extractor)
    cache = FeatureCache(folder)
    assert torch.equal(cache.features(images_of(tmp_path, paths), extractor), first)
    assert torch.equal(cache.features(images_of(tmp_path, paths), extractor), first)
    assert extractor.calls == 1
    assert torch.equal(first, tiny_extractor().features(images_of(tmp_path, paths).values()))


@pytest.mark.parametrize("change", ["content", "how", "extractor", "number"])
def test_other_features_are_computed_anew(change: str, tmp_path: Path) -> None:
    paths = store(tmp_path / "images", "a.png", "b.png")
    extractor, cache = Counting(), FeatureCache(tmp_path / "cache")
    cache.features(images_of(tmp_path, paths), extractor)
    images = images_of(tmp_path, paths, "64x64" if change == "how" else "own size")
    if change == "content":
        stamp = Path(paths[0]).stat()
        store(tmp_path / "images", "a.png", seed=9)
        os.utime(paths[0], ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    elif change == "number":
        images = images.limited(1, seed=0)
    elif change == "extractor":
        extractor.fingerprint = "other weights"
    assert len(cache.features(images, extractor)) == len(images)
    assert extractor.calls == 2


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY nothing", b"text"])
def test_a_damaged_file_is_computed_anew(damage: bytes, tmp_path: Path) -> None:
    images = images_of(tmp_path, store(tmp_path / "images", "a.png"))
    first = FeatureCache(tmp_path / "cache").features(images, tiny_extractor())
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(damage)
    assert torch.equal(FeatureCache(tmp_path / "cache").features(images, tiny_extractor()), first)
    assert np.array_equal(np.load(file), first.numpy())


def test_a_folder_that_cannot_be_made_is_said_and_does_not_stop(tmp_path: Path, caplog) -> None:
    images = images_of(tmp_path, store(tmp_path / "images", "a.png"))
    (tmp_path / "cache").write_text("a file")
    found = FeatureCache(tmp_path / "cache" / "features").features(images, tiny_extractor())
    assert found.shape == (1, 8)
    assert "features are computed anew each time: cannot make the folder" in caplog.text


def test_the_fingerprint_is_of_the_weights() -> None:
    def fingerprint(value: float) -> str:
        network = torch.nn.Conv2d(1, 1, 1)
        torch.nn.init.constant_(network.weight, value)
        torch.nn.init.zeros_(network.bias)
        network.get_name = lambda: "some"  # type: ignore[assignment]
        return Extractor(network, torch.device("cpu")).fingerprint

    assert fingerprint(1) == fingerprint(1) != fingerprint(2)
