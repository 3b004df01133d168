"""Videos that are damaged or cut, with sound or titles that are not as they should be."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_inference_videos import FRAMES, HEIGHT, RATE, WIDTH, describe, make_video, times_of
from tiny_runs import infer, make_run, optional_package
from tiny_videos import IMAGES, copied, encode

from util.video_ends import is_cut_short
from util.video_files import open_video


@pytest.fixture
def av() -> Any:
    return optional_package("av")


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


def test_sound_that_the_head_of_the_file_refuses_is_left_out(
    tmp_path: Path, av: Any, caplog
) -> None:
    """MOV has no place for FLAC, which MKV has."""
    source = tmp_path / "flac.mkv"
    silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
    silence.sample_rate, silence.pts = 8000, 0
    with av.open(str(source), "w") as container:
        video = container.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("flac", 8000, layout="mono", format="s16")
        container.start_encoding()
        frames = [av.VideoFrame.from_image(image) for image in IMAGES]
        for time, frame in enumerate(frames):
            frame.pts = time
        for stream, parts in ((video, frames), (sound, [silence])):
            for part in (*parts, None):
                container.mux(stream.encode(part))
    source = source.rename(tmp_path / "flac.mov")
    with av.open(str(copied(source))) as container:
        assert not container.streams.audio
        assert sum(1 for _ in container.decode(video=0)) == len(IMAGES)
    assert caplog.text.count("left out") == 1


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
