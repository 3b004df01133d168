"""Translated images have the metadata of their inputs."""

import itertools
import struct
from pathlib import Path

import pytest
from conftest import picture
from PIL import Image, ImageCms

from data.image_folder import read_image
from util.errors import UserError
from util.results.folder import CAMERA_TAGS, write_image

ORIENTATION, MAKE, EXPOSURE, GPS, EXIF, LATITUDE = 0x0112, 0x010F, 0x829A, 0x8825, 0x8769, 1


def source(path: Path, profile: bytes) -> Path:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = 6, "Camera"
    exif.get_ifd(EXIF)[EXPOSURE] = 0.5
    exif.get_ifd(GPS)[LATITUDE] = "N"
    picture(0, 20, 10).save(path, exif=exif.tobytes(), icc_profile=profile)
    return path


@pytest.mark.parametrize("before", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize("after", ["jpg", "png", "tiff", "webp"])
def test_profile_and_exif_are_copied_without_orientation(
    before: str, after: str, tmp_path: Path
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    origin = source(tmp_path / f"in.{before}", profile)
    write_image(picture(1, 10, 20), tmp_path / "deep" / f"out.{after}", 90, origin)
    with Image.open(tmp_path / "deep" / f"out.{after}") as image:
        exif = image.getexif()
        assert image.size == (10, 20)
        assert image.info["icc_profile"] == profile
        assert (exif.get(ORIENTATION, 1), exif[MAKE]) == (1, "Camera")
        assert exif.get_ifd(EXIF)[EXPOSURE] == 0.5
        assert exif.get_ifd(GPS)[LATITUDE] == "N"


def test_a_profile_for_other_colours_is_dropped(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    write_image(picture(1, 8, 8), tmp_path / "out.png", 90, source(tmp_path / "a.png", profile))
    with Image.open(tmp_path / "out.png") as image:
        assert "icc_profile" not in image.info


def exif_with(tag: int, kind: int, count: int, value: bytes) -> bytes:
    """Return EXIF data with one field; the value follows it where it has more than four bytes."""
    place = value if len(value) <= 4 else struct.pack("<I", 26)
    field = struct.pack("<HHI4s", tag, kind, count, place)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + field + bytes(4) + value


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # by which Pillow tells of damage
@pytest.mark.parametrize("ending", ["jpg", "tiff"])
def test_no_exif_field_of_a_wrong_type_harms_the_image(ending: str, tmp_path: Path) -> None:
    fields = itertools.product([*sorted(CAMERA_TAGS), EXIF, GPS, ORIENTATION], range(14), (0, 1, 3))
    for number, (tag, kind, count) in enumerate(fields):
        source = tmp_path / f"{number}.jpg"
        value = bytes([0xFF, 0, 0x41, 0x80] * 6)[: 8 * count]
        picture(0, 9, 8).save(source, exif=exif_with(tag, kind, count, value))
        write_image(read_image(str(source)), tmp_path / f"out/{number}.{ending}", 90, source)
        with Image.open(tmp_path / f"out/{number}.{ending}") as image:
            assert sorted(image.size) == [8, 9]


def test_quality_changes_the_size_of_the_file(tmp_path: Path) -> None:
    for quality in (10, 95):
        write_image(picture(1, 64, 64), tmp_path / f"{quality}.jpg", quality)
    assert (tmp_path / "10.jpg").stat().st_size < (tmp_path / "95.jpg").stat().st_size


def test_a_format_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose another with --format"):
        write_image(picture(1, 8, 8), tmp_path / "x.psd", 90)
    assert list(tmp_path.iterdir()) == []
