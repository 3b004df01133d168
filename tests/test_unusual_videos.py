"""Videos with sound, colours, turns and ends that are unusual or damaged."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from test_inference_videos import FRAMES, HEIGHT, RATE, WIDTH, describe, make_video, times_of
from tiny_runs import infer, make_run, optional_package

from data.inference.decoding import frames_in_order, image_of
from models.test_model import TestModel
from util.images import BY_TYPE
from util.results.video_writer import VideoWriter
from util.video_ends import is_cut_short
from util.video_files import open_video

IMAGES = [picture(number, WIDTH, HEIGHT) for number in range(FRAMES)]


@pytest.fixture
def av() -> Any:
    return optional_package("av")


def encode(path: Path, codec: str = "mpeg4", cut_packet: int | None = None, **context: Any) -> Path:
    """Write the images as a video, one packet of which may be cut; return its path.

    `context` are attributes of its codec context.
    """
    av = optional_package("av")
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for attribute, value in context.items():
            setattr(video.codec_context, attribute, value)
        packets = [p for image in IMAGES for p in video.encode(av.VideoFrame.from_image(image))]
        for number, packet in enumerate([*packets, *video.encode(None)]):
            if number == cut_packet:
                half = av.Packet(bytes(packet)[: packet.size // 2])
                half.pts, half.dts, half.stream = packet.pts, packet.dts, video
                half.time_base = packet.time_base
                packet = half
            container.mux(packet)
    return path


def copied(source: Path, images: Sequence[Image.Image] = IMAGES, **how: Any) -> Path:
    """Write a video of the images with the sound and the appearance of another; return its path."""
    path = source.parent / "copied" / source.name
    writer = VideoWriter(source, path, **how)
    with optional_package("av").open(str(source)) as container:
        step = round(1 / RATE / container.streams.video[0].time_base)
    for number, image in enumerate(images):
        writer.add(image, number * step)
    writer.close()
    return path


def test_sound_whose_times_go_back_is_left_out_there(tmp_path: Path, av: Any, caplog) -> None:
    source = tmp_path / "old.mkv"
    make_video(source, av)
    with av.open(str(source)) as container:
        places = [packet.pos for packet in container.demux(audio=0) if packet.size]
    content = bytearray(source.read_bytes())
    for place in places[10:13]:  # a SimpleBlock has the number of its track, then its time
        (time,) = struct.unpack_from(">h", content, place + 1)
        struct.pack_into(">h", content, place + 1, time - 100)
    source.write_bytes(content)
    before, after = describe(source, av)["sound"], describe(copied(source), av)["sound"]
    assert after == before[:10] + before[13:]
    assert caplog.text.count("go back") == 1 and str(source) in caplog.text


def with_an_unknown_codec(source: Path) -> Path:
    """Write a copy of a video whose sound has a codec that FFmpeg does not know."""
    content, path = source.read_bytes(), source.with_name("unknown.mov")
    path.write_bytes(content.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    return path


def test_sound_that_cannot_be_copied_is_left_out(tmp_path: Path, av: Any, caplog) -> None:
    """FFmpeg does not know the codec, or the container does not hold it."""
    make_video(tmp_path / "known.mov", av)
    unknown, refused = with_an_unknown_codec(tmp_path / "known.mov"), tmp_path / "refused.webm"
    (tmp_path / "known.mov").rename(refused)
    for source in (unknown, refused):
        caplog.clear()
        result = copied(source)
        assert f"stream 1 of {source}, which is sound, is left out" in caplog.text
        assert caplog.text.count("left out") == 1
        with av.open(str(result)) as container:
            assert not container.streams.audio
            assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_a_title_in_another_encoding_does_not_refuse_a_video(tmp_path: Path, av: Any) -> None:
    source = tmp_path / "old.mkv"
    with av.open(str(source), "w") as container:
        container.metadata["title"] = "Buecher"
        video = container.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.mux([*video.encode(av.VideoFrame.from_image(IMAGES[0])), *video.encode(None)])
    content = source.read_bytes()
    assert content.count(b"Buecher") == 1
    source.write_bytes(content.replace(b"Buecher", "Bücher!".encode("latin-1")))
    with open_video(source) as container:
        assert len(list(container.decode(video=0))) == 1


@pytest.mark.parametrize("ending", [".mkv", ".webm", ".avi"])
def test_a_video_without_its_end_is_told(ending: str, tmp_path: Path, av: Any, caplog) -> None:
    make_run(tmp_path)
    whole, cut = (tmp_path / f"{name}{ending}" for name in ("whole", "cut"))
    encode(whole, "libvpx-vp9" if ending == ".webm" else "mpeg4")
    with av.open(str(whole)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    cut.write_bytes(whole.read_bytes()[: places[FRAMES // 2] + 200])
    out = tmp_path / "out"
    assert infer(tmp_path, "--input", whole, "--output", out) == 0
    assert infer(tmp_path, "--input", cut, "--output", out) == 1
    assert f"{cut} is cut short" in caplog.text and str(whole) not in caplog.text
    assert 0 < len(times_of(out / cut.name, av)) < FRAMES
    assert infer(tmp_path, "--input", cut, "--output", out, "--num_test", 1) == 0


def test_videos_are_not_cut_short_where_no_length_tells(tmp_path: Path, av: Any) -> None:
    """Live streams have no length, large AVI files have several parts, and sound may be longer."""
    live, avi, more = tmp_path / "live.mkv", tmp_path / "old.avi", tmp_path / "more.mkv"
    with av.open(str(live), "w", options={"live": "1"}) as container:
        video = container.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.mux([*video.encode(av.VideoFrame.from_image(IMAGES[0])), *video.encode(None)])
    make_video(more, av)
    for path in (live, encode(avi), more):
        assert not is_cut_short(path)
    content = avi.read_bytes()
    avi.write_bytes(content + b"RIFF" + (100).to_bytes(4, "little") + bytes(100) + b"what else")
    assert not is_cut_short(avi)
    avi.write_bytes(content + b"RIFF" + (100).to_bytes(4, "little") + bytes(50))
    assert is_cut_short(avi)
    avi.write_bytes(content[:4] + b"\xff" * 4 + content[8:-100])  # of a pipe
    assert not is_cut_short(avi)


def test_a_video_without_frames_is_a_failure(tmp_path: Path, av: Any, caplog) -> None:
    make_run(tmp_path)
    make_video(tmp_path / "sound.mkv", av)
    source = tmp_path / "empty.mkv"
    with av.open(str(source), "w") as container, av.open(str(tmp_path / "sound.mkv")) as old:
        new = {stream.index: container.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux(audio=0):
            packet.stream = new[packet.stream.index]
            container.mux([packet] if packet.size else [])
    assert infer(tmp_path, "--input", source, "--output", tmp_path / "out") == 1
    assert f"{source} holds no frame that can be decoded" in caplog.text


def test_damaged_frames_are_counted(tmp_path: Path, av: Any, caplog) -> None:
    make_run(tmp_path)
    source, out = encode(tmp_path / "old.mkv", "mpeg2video", cut_packet=5), tmp_path / "out"
    assert infer(tmp_path, "--input", source, "--output", out) == 1
    assert f"{source} is damaged in 1 of {FRAMES} frames" in caplog.text
    assert len(times_of(out / source.name, av)) == FRAMES


def first_image(path: Path) -> Image.Image:
    with open_video(path) as container:
        return image_of(next(frames_in_order(container)), path, BY_TYPE)


def turn(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write the matrix of the header of the track in an MP4 file, which is how it is shown."""
    content = bytearray(path.read_bytes())
    units = (unit << 16 for unit in (a, b, 0, c, d, 0, 0, 0, 1 << 14))
    struct.pack_into(">9i", content, content.index(b"tkhd") + 44, *units)
    path.write_bytes(content)


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


def test_pixels_keep_their_shape_where_frames_are_turned_or_resized(
    tmp_path: Path, av: Any
) -> None:
    shape = Fraction(4, 3)
    source = encode(tmp_path / "old.mp4", sample_aspect_ratio=shape)
    small, cropped = IMAGES[0].resize((WIDTH // 2, HEIGHT // 2)), IMAGES[0].crop((0, 0, 32, 32))

    def result(image: Image.Image, in_shape: bool = True) -> Fraction | None:
        with av.open(str(copied(source, [image], in_shape=in_shape))) as container:
            ratio: Fraction | None = container.streams.video[0].codec_context.sample_aspect_ratio
        return ratio

    assert result(small) == shape
    assert not result(cropped, in_shape=False)
    turn(source, 0, 1, -1, 0)
    assert result(first_image(source)) == 1 / shape


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
