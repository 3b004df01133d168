"""02_inference.py on a video: the same rate, times and sound."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import picture
from PIL import Image
from tiny_runs import infer, make_run, optional_package

from util.results.video import VideoWriter

FRAMES, RATE = 12, 25
WIDTH, HEIGHT = 62, 46


def make_film(path: Path, av: Any) -> None:
    """Half a second of pictures, with a tone."""
    with av.open(str(path), "w") as film:
        video, sound = film.add_stream("libx264", rate=RATE), film.add_stream("aac", rate=44100)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            film.mux(video.encode(av.VideoFrame.from_image(picture(number, WIDTH, HEIGHT))))
        film.mux(video.encode(None))
        tone = np.sin(np.arange(44100 * FRAMES // RATE) / 16).astype(np.float32)
        for start in range(0, len(tone), 1024):
            piece = tone[None, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
            film.mux(sound.encode(frame))
        film.mux(sound.encode(None))


def describe(path: Path, av: Any) -> dict[str, Any]:
    with av.open(str(path)) as film:
        video = film.streams.video[0]
        facts = {"rate": video.average_rate, "size": (video.width, video.height)}
        facts["times"] = [float(frame.time) for frame in film.decode(video=0)]
    with av.open(str(path)) as film:
        packets = [bytes(packet) for packet in film.demux(audio=0) if packet.size]
        return {**facts, "sound": packets}


@pytest.fixture
def film(tmp_path: Path) -> Path:
    make_run(tmp_path, "")
    make_film(tmp_path / "film.mp4", optional_package("av"))
    return tmp_path / "film.mp4"


@pytest.mark.parametrize("together", ["1", "5"])
def test_a_film_keeps_its_rate_times_size_and_sound(film: Path, together: str, caplog) -> None:
    av = optional_package("av")
    out = film.parent / "out"
    caplog.set_level("INFO")
    words = ["--input", film, "--output", out, "--batch_size", together]
    assert infer(film.parent, *words) == 0
    before, after = describe(film, av), describe(out / "film.mp4", av)
    assert after == before
    assert len(after["times"]) == FRAMES
    assert len(after["sound"]) > 10
    assert [path.name for path in out.iterdir()] == ["film.mp4"]
    assert "translating 12 of 12 frames" in caplog.text


def test_frames_are_those_that_the_generator_gives(film: Path) -> None:
    from models import load_generator

    av = optional_package("av")
    assert infer(film.parent, "--input", film) == 0
    translate = load_generator("run", checkpoints_dir=film.parent / "checkpoints", device="cpu")
    result = film.parent / "results/run/test_latest/film_fake.mp4"
    # in luma: the video halves the resolution of colour, and the untrained network gives noise
    with av.open(str(film)) as old, av.open(str(result)) as new:
        expected = [luma(translate(frame.to_image())) for frame in old.decode(video=0)]
        got = [luma(frame.to_image()) for frame in new.decode(video=0)]
    assert len(got) == len(expected)
    assert max(abs(a - b).mean() for a, b in zip(got, expected, strict=True)) < 8
    assert min(abs(a - b).mean() for a, b in zip(got[1:], expected, strict=False)) > 20


def luma(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L")).astype(int)


@pytest.mark.parametrize("tag", [1, 6, None])  # ITU-R BT.709, BT.601
def test_colours_and_the_shape_of_pixels_stay(tag: int | None, tmp_path: Path) -> None:
    av = optional_package("av")
    colour, shape = (200, 40, 60), Fraction(4, 3)
    source, written = tmp_path / "old.mp4", tmp_path / "new.mp4"
    with av.open(str(source), "w") as film:
        video = film.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.sample_aspect_ratio = shape
        if tag is not None:
            video.codec_context.colorspace = tag
            video.codec_context.color_primaries = video.codec_context.color_trc = tag
        film.mux(video.encode(av.VideoFrame.from_image(Image.new("RGB", (WIDTH, HEIGHT), colour))))
        film.mux(video.encode(None))
    writer = VideoWriter(source, written)
    writer.add(Image.new("RGB", (WIDTH, HEIGHT), colour), 0)
    writer.close()
    with av.open(str(written)) as film:
        context = film.streams.video[0].codec_context
        shown = np.asarray(next(film.decode(video=0)).to_image())[10, 10].astype(int)
        tags = context.colorspace, context.color_primaries, context.color_trc
    assert tags == ((2, 2, 2) if tag is None else (tag, tag, tag))  # 2: not said
    assert np.abs(shown - colour).max() <= 4
    assert context.sample_aspect_ratio == shape


def test_some_frames_only(film: Path) -> None:
    av = optional_package("av")
    out = film.parent / "out"
    assert infer(film.parent, "--input", film, "--output", out, "--num_test", "5") == 0
    assert len(describe(out / film.name, av)["times"]) == 5
    with pytest.raises(SystemExit, match="2"):
        infer(film.parent, "--input", film, "--output", film.parent)
    assert len(describe(film, av)["times"]) == FRAMES


def test_a_stopped_film_leaves_no_file(film: Path, monkeypatch) -> None:
    from models.test_model import TestModel

    def stop(self: TestModel) -> None:
        if not (film.parent / "out").is_dir():
            return forward(self)
        raise KeyboardInterrupt

    forward = TestModel.forward
    monkeypatch.setattr(TestModel, "forward", stop)
    assert infer(film.parent, "--input", film, "--output", film.parent / "out") == 130
    assert list((film.parent / "out").iterdir()) == []


def test_a_film_that_cannot_be_written_is_one_line(film: Path, capsys) -> None:
    (film.parent / "file").write_text("")
    assert infer(film.parent, "--input", film, "--output", film.parent / "file") == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: cannot make the folder {film.parent / 'file'} (")
    assert err.count("\n") == 1


def test_no_film_and_no_pyav_are_one_line(tmp_path: Path, capsys, monkeypatch) -> None:
    make_run(tmp_path, "")
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    optional_package("av")
    assert infer(tmp_path, "--input", tmp_path / "bad.mp4") == 1
    assert "cannot read the video" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert infer(tmp_path, "--input", tmp_path / "bad.mp4") == 1
    assert "pip install av" in capsys.readouterr().err
