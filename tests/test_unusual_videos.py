"""Videos with pixels, turns, tags and endings that are unusual."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_inference_videos import HEIGHT, RATE, WIDTH
from tiny_runs import infer, make_run, optional_package
from tiny_videos import IMAGES, copied, encode, first_image, turn

from models.test_model import TestModel


@pytest.fixture
def av() -> Any:
    return optional_package("av")


@pytest.mark.parametrize(
    ("matrix", "transpose"),
    [
        ((-1, 0, 0, 1), Image.Transpose.FLIP_LEFT_RIGHT),
        ((1, 0, 0, -1), Image.Transpose.FLIP_TOP_BOTTOM),
        ((0, 1, 1, 0), Image.Transpose.TRANSPOSE),
        ((0, -1, -1, 0), Image.Transpose.TRANSVERSE),
        ((0, 1, -1, 0), Image.Transpose.ROTATE_270),
        ((-1, 0, 0, -1), Image.Transpose.ROTATE_180),
    ],
)
def test_turned_and_mirrored_videos_are_shown_upright(
    matrix: tuple[int, int, int, int], transpose: Image.Transpose, tmp_path: Path, av: Any
) -> None:
    source = encode(tmp_path / "old.mp4")
    expected = first_image(source).transpose(transpose)
    turn(source, *matrix)
    assert np.array_equal(np.asarray(first_image(source)), np.asarray(expected))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("old.mov", "png", "rgba"),
        ("old.mov", "prores_ks", "yuva444p10le"),
        ("old.webm", "libvpx-vp9", "yuva420p"),
        ("old.mov", "png", "pal8"),
    ],
)
def test_transparent_frames_show_the_background(
    name: str, codec: str, pix_fmt: str, tmp_path: Path, av: Any, monkeypatch
) -> None:
    make_run(tmp_path)
    source = tmp_path / name
    pixels = np.full((HEIGHT, WIDTH, 4), (200, 40, 60, 255), np.uint8)
    pixels[:, : WIDTH // 2, 3] = 0
    frame = av.VideoFrame.from_ndarray(pixels, format="rgba")
    if pix_fmt == "pal8":
        palette = np.zeros((256, 4), np.uint8)  # alpha, red, green, blue
        palette[:2] = (0, 200, 40, 60), (255, 200, 40, 60)
        frame = av.VideoFrame.from_ndarray((pixels[..., 3] // 255, palette), format="pal8")
    with av.open(str(source), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, pix_fmt
        frame = frame if pix_fmt == "pal8" else frame.reformat(format=pix_fmt)
        container.mux([*video.encode(frame), *video.encode(None)])
    monkeypatch.setattr(TestModel, "forward", lambda self: setattr(self, "fake", self.real))
    out = tmp_path / "out"
    assert infer(tmp_path, "--input", source, "--output", out, "--background", "white") == 0
    row = np.asarray(first_image(out / name))[HEIGHT // 2].astype(int)
    assert np.abs(row[8] - 255).max() <= 8
    assert np.abs(row[-8] - (200, 40, 60)).max() <= 8


def test_a_colour_matrix_that_cannot_be_converted_is_one_line(
    tmp_path: Path, av: Any, capsys
) -> None:
    make_run(tmp_path)
    source = encode(tmp_path / "old.mp4", "libx264", colorspace=8)  # YCgCo
    with av.open(str(source)) as container:
        frame = next(container.decode(video=0))
    try:
        frame.to_image()
    except OSError:
        assert infer(tmp_path, "--input", source, "--output", tmp_path / "out") == 1
        err = capsys.readouterr().err
        assert err.startswith(f"error: cannot convert the video {source} to RGB")
        assert "colour matrix is 8" in err and err.count("\n") == 1
    else:
        pytest.skip("this FFmpeg converts it")


@pytest.mark.parametrize(
    ("words", "turned", "expected"),
    [
        (["--max_size", "32"], False, Fraction(4, 3)),
        (["--max_size", "32"], True, Fraction(3, 4)),
        (["--preprocess", "crop", "--crop_size", "32"], False, None),
        (["--aspect_ratio", "2"], False, None),
        (["--preprocess", "scale_width", "--load_size", "32", "--crop_size", "32"], False, None),
    ],
)
def test_pixels_keep_their_shape_unless_frames_are_cropped_or_stretched(
    words: list[str], turned: bool, expected: Fraction | None, tmp_path: Path, av: Any
) -> None:
    make_run(tmp_path)
    source, out = encode(tmp_path / "old.mp4", sample_aspect_ratio=Fraction(4, 3)), tmp_path / "out"
    if turned:
        turn(source, 0, 1, -1, 0)
    assert infer(tmp_path, "--input", source, "--output", out, "--num_test", 1, *words) == 0
    with av.open(str(out / source.name)) as container:
        assert (container.streams.video[0].codec_context.sample_aspect_ratio or None) == expected


def test_colour_tags_are_copied_without_a_matrix_too(tmp_path: Path, av: Any) -> None:
    tags = {"color_primaries": 9, "color_trc": 16}
    source = encode(tmp_path / "old.mp4", "libx264", **tags)
    with av.open(str(copied(source))) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (2, 1)  # not said, limited
        assert {tag: getattr(context, tag) for tag in tags} == tags


@pytest.mark.parametrize(
    ("name", "codec"),
    [("old.mp4", "libx264"), ("old.mkv", "libx264"), ("old.webm", "libvpx-vp9")],
)
def test_the_last_frame_is_shown_as_long(name: str, codec: str, tmp_path: Path, av: Any) -> None:
    make_run(tmp_path)
    source, out = tmp_path / name, tmp_path / "out"
    with av.open(str(source), "w") as container:
        video = container.add_stream(codec, rate=1)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        frames = [av.VideoFrame.from_image(image) for image in IMAGES[:3]]
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = 500 * number, Fraction(1, 1000)
        packets = [packet for frame in [*frames, None] for packet in video.encode(frame)]
        for packet in packets:
            packet.duration = 9000 if packet.pts == 1000 else 500
            container.mux(packet)
    assert infer(tmp_path, "--input", source, "--output", out) == 0
    for path in (source, out / name):
        with av.open(str(path)) as container:
            assert container.duration == 10_000_000


@pytest.mark.parametrize("ending", [".mpg", ".TS", ".wmv"])
def test_a_video_of_another_container_is_told_which_are_read(
    ending: str, tmp_path: Path, capsys
) -> None:
    make_run(tmp_path)
    source = tmp_path / f"old{ending}"
    source.write_bytes(b"a video")
    with pytest.raises(SystemExit, match="2"):
        infer(tmp_path, "--input", source, "--output", tmp_path / "out")
    err = capsys.readouterr().err
    assert f"--input {source}: videos are read from .mp4, .m4v" in err and err.count("\n") == 1


def test_frames_with_exif_data_are_read(tmp_path: Path, av: Any) -> None:
    """PyAV, which has no name for such data beside a frame, refuses to list it."""
    source, jpeg, exif = tmp_path / "old.mov", io.BytesIO(), Image.Exif()
    exif[0x010F] = "a camera"
    IMAGES[0].save(jpeg, "JPEG", exif=exif)
    with av.open(str(source), "w") as container:
        video = container.add_stream("mjpeg", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        packet = av.Packet(jpeg.getvalue())
        packet.pts = packet.dts = 0
        packet.stream, packet.time_base, packet.is_keyframe = video, Fraction(1, RATE), True
        container.mux(packet)
    assert first_image(source).size == (WIDTH, HEIGHT)
