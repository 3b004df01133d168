"""Videos with sound, colours, turns and ends that are unusual or damaged."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from conftest import picture
from PIL import Image
from test_inference_videos import FRAMES, HEIGHT, RATE, WIDTH, describe, make_video
from tiny_runs import optional_package

from util.results.video_writer import VideoWriter
from util.video_files import open_video

IMAGES = [picture(number, WIDTH, HEIGHT) for number in range(FRAMES)]


@pytest.fixture
def av() -> Any:
    return optional_package("av")


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
