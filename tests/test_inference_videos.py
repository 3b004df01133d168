"""02_inference.py on a video: the result has its rate, times and sound."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from tiny_runs import infer, make_run, optional_package

from models import load_generator
from models.inference.translator import InferenceSettings
from util.errors import UserError
from util.results.video_writer import VideoWriter
from util.video_ends import is_cut_short
from util.video_files import import_av

FRAMES, RATE = 12, 25
WIDTH, HEIGHT = 62, 46


def make_video(path: Path, av: Any) -> None:
    """Write half a second of noise images, with a tone."""
    with av.open(str(path), "w") as container:
        video, sound = (
            container.add_stream("libx264", rate=RATE),
            container.add_stream("aac", rate=44100),
        )
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            container.mux(video.encode(av.VideoFrame.from_image(picture(number, WIDTH, HEIGHT))))
        container.mux(video.encode(None))
        tone = np.sin(np.arange(44100 * FRAMES // RATE) / 16).astype(np.float32)
        for start in range(0, len(tone), 1024):
            piece = tone[None, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def times_of(path: Path, av: Any) -> list[float]:
    """Return the times of the frames."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def describe(path: Path, av: Any) -> dict[str, Any]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        facts = {"rate": video.average_rate, "size": (video.width, video.height)}
    facts["times"] = times_of(path, av)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
        return {**facts, "sound": packets}


@pytest.fixture
def video_file(tmp_path: Path) -> Path:
    make_run(tmp_path, "")
    make_video(tmp_path / "video.mp4", optional_package("av"))
    return tmp_path / "video.mp4"


@pytest.mark.parametrize("batch_size", ["1", "5"])
def test_a_video_has_the_rate_times_size_and_sound_of_its_input(
    video_file: Path, batch_size: str, caplog
) -> None:
    av = optional_package("av")
    out = video_file.parent / "out"
    caplog.set_level("INFO")
    words = ["--input", video_file, "--output", out, "--batch_size", batch_size]
    assert infer(video_file.parent, *words) == 0
    before, after = describe(video_file, av), describe(out / "video.mp4", av)
    assert after == before
    assert len(after["times"]) == FRAMES
    assert len(after["sound"]) > 10
    assert sorted(path.name for path in out.iterdir()) == [".translated", "video.mp4"]
    assert "translating 12 of 12 frames" in caplog.text


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_frames_of_avi_stay_in_order(codec: str, video_file: Path) -> None:
    """AVI stores no times out of order, which B-frames, here of the input, need."""
    av = optional_package("av")
    source, out = video_file.with_suffix(".avi"), video_file.parent / "out"
    with av.open(str(source), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            container.mux(video.encode(av.VideoFrame.from_image(picture(number, WIDTH, HEIGHT))))
        container.mux(video.encode(None))
    assert infer(source.parent, "--input", source, "--output", out) == 0
    assert infer(source.parent, "--input", out / "video.avi", "--output", out / "again") == 0
    for path in (out / "video.avi", out / "again" / "video.avi"):
        with av.open(str(path)) as container:
            times = [frame.pts for frame in container.decode(video=0)]
        assert len(times) == FRAMES
        assert times == sorted(set(times))


@pytest.mark.parametrize(("copies", "folder"), [(1, "test_latest"), (2, "test_latest_ensemble2")])
def test_frames_are_those_that_the_generator_gives(
    copies: int, folder: str, video_file: Path
) -> None:
    av = optional_package("av")
    assert infer(video_file.parent, "--input", video_file, "--self_ensemble", copies) == 0
    translate = load_generator(
        "run",
        checkpoints_dir=video_file.parent / "checkpoints",
        device="cpu",
        settings=InferenceSettings(self_ensemble=copies),
    )
    result = video_file.parent / "results/run" / folder / "video_fake.mp4"
    # in luma: the video halves the resolution of colour, and the untrained network gives noise
    with av.open(str(video_file)) as old, av.open(str(result)) as new:
        expected = [luma(translate(frame.to_image())) for frame in old.decode(video=0)]
        got = [luma(frame.to_image()) for frame in new.decode(video=0)]
    assert len(got) == len(expected)
    assert max(abs(a - b).mean() for a, b in zip(got, expected, strict=True)) < 8
    assert min(abs(a - b).mean() for a, b in zip(got[1:], expected, strict=False)) > 20


def luma(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L")).astype(int)


@pytest.mark.parametrize("tag", [1, 6, None])  # ITU-R BT.709, BT.601
def test_colour_tags_and_the_pixel_aspect_ratio_are_copied(tag: int | None, tmp_path: Path) -> None:
    av = optional_package("av")
    colour, shape = (200, 40, 60), Fraction(4, 3)
    source, written = tmp_path / "old.mp4", tmp_path / "new.mp4"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.sample_aspect_ratio = shape
        if tag is not None:
            video.codec_context.colorspace = tag
            video.codec_context.color_primaries = video.codec_context.color_trc = tag
        container.mux(
            video.encode(av.VideoFrame.from_image(Image.new("RGB", (WIDTH, HEIGHT), colour)))
        )
        container.mux(video.encode(None))
    writer = VideoWriter(source, written)
    writer.add(Image.new("RGB", (WIDTH, HEIGHT), colour), 0)
    writer.close()
    with av.open(str(written)) as container:
        context = container.streams.video[0].codec_context
        shown = np.asarray(next(container.decode(video=0)).to_image())[10, 10].astype(int)
        tags = context.colorspace, context.color_primaries, context.color_trc
    assert tags == ((2, 2, 2) if tag is None else (tag, tag, tag))  # 2: not said
    assert np.abs(shown - colour).max() <= 4
    assert context.sample_aspect_ratio == shape


def test_num_test_limits_the_frames(video_file: Path) -> None:
    av = optional_package("av")
    out = video_file.parent / "out"
    assert infer(video_file.parent, "--input", video_file, "--output", out, "--num_test", "5") == 0
    assert len(describe(out / video_file.name, av)["times"]) == 5
    with pytest.raises(SystemExit, match="2"):
        infer(video_file.parent, "--input", video_file, "--output", video_file.parent)
    assert len(describe(video_file, av)["times"]) == FRAMES


def test_a_video_that_is_cut_short_is_told(video_file: Path, caplog) -> None:
    av = optional_package("av")
    whole, cut = video_file.parent / "whole.mp4", video_file.parent / "cut.mp4"
    with av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_image(picture(number, WIDTH, HEIGHT))))
        container.mux(stream.encode(None))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert is_cut_short(cut) and not is_cut_short(whole)
    with whole.open("ab") as file:
        file.write(b"what a camera appends")
    out = video_file.parent / "out"
    assert infer(video_file.parent, "--input", whole, "--output", out) == 0
    assert "cut short" not in caplog.text
    assert infer(video_file.parent, "--input", cut, "--output", out) == 1
    damaged = "is damaged and cannot be decoded any further"  # by a decoder without threads
    assert f"{cut} is cut short" in caplog.text or f"{cut} {damaged}" in caplog.text
    assert 0 < len(times_of(out / "cut.mp4", av)) < FRAMES
    assert infer(video_file.parent, "--input", cut, "--output", out, "--num_test", "1") == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_with_a_colon_is_no_address(video_file: Path, monkeypatch) -> None:
    av = optional_package("av")
    monkeypatch.chdir(video_file.parent)
    video_file.rename("12:30.mp4")
    assert infer(video_file.parent, "--input", "12:30.mp4", "--output", "out") == 0
    assert len(times_of(Path("out/12:30.mp4").absolute(), av)) == FRAMES


def test_decoders_do_not_log_through_python(video_file: Path) -> None:
    """They would wait for its lock while a container that is closed waits for them."""
    av = optional_package("av")
    av.logging.set_level(av.logging.ERROR)  # as torchvision did
    out = video_file.parent / "out"
    assert infer(video_file.parent, "--input", video_file, "--output", out, "--num_test", "5") == 0
    assert av.logging.get_level() is None


def test_an_interrupted_video_leaves_no_file(video_file: Path, monkeypatch) -> None:
    from models.test_model import TestModel

    def stop(self: TestModel) -> None:
        if not (video_file.parent / "out").is_dir():
            return forward(self)
        raise KeyboardInterrupt

    forward = TestModel.forward
    monkeypatch.setattr(TestModel, "forward", stop)
    assert (
        infer(video_file.parent, "--input", video_file, "--output", video_file.parent / "out")
        == 130
    )
    assert list((video_file.parent / "out").iterdir()) == []


def test_a_video_that_cannot_be_written_is_one_line(video_file: Path, capsys) -> None:
    file = video_file.parent / "file"
    file.write_text("")
    with pytest.raises(SystemExit, match="2"):
        infer(video_file.parent, "--input", video_file, "--output", file)
    assert f"error: --output {file}: is a file; give a folder" in capsys.readouterr().err
    assert infer(video_file.parent, "--input", video_file, "--output", file / "in") == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: cannot make the folder {file / 'in'} (")
    assert err.count("\n") == 1


def test_no_video_and_no_pyav_are_one_line(tmp_path: Path, capsys, monkeypatch) -> None:
    make_run(tmp_path, "")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    optional_package("av")
    assert infer(tmp_path, "--input", tmp_path / "bad.mp4") == 1
    assert "cannot read the video" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert infer(tmp_path, "--input", tmp_path / "bad.mp4") == 1
    assert "pip install av" in capsys.readouterr().err


def test_versions_of_pyav_with_wrong_colours_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    av = optional_package("av")
    monkeypatch.setattr(av, "__version__", "16.0.1")
    with pytest.raises(UserError, match=r"^PyAV 16\.0\.1 .*: pip install --upgrade av$"):
        import_av()
