"""The dashboard against a real visdom server: running, frozen, killed, restarted, for long."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, VisdomServer, resident, wait_for

from util.sinks.background import Background
from util.sinks.curves import Curves
from util.sinks.dashboard.sink import Dashboard, DashboardSettings

pytest.importorskip("visdom")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
LOSSES = ["D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B"]
TINY = (
    "--netG resnet_6blocks --ngf 4 --ndf 4 --load_size 36 --crop_size 32 --gpu_ids -1 "
    "--num_threads 0 --n_epochs 1 --n_epochs_decay 0 --print_freq 1 --display_freq 2 "
    "--update_html_freq 2 --max_dataset_size 4"
)


def dashboard(port: int, folder: Path, timeout: float = 3.0, **changes: Any) -> Dashboard:
    settings = DashboardSettings(**{"name": "exp", "port": port, "width": 32, **changes})
    return Dashboard(settings, folder, Curves(), timeout)


def test_curves_and_images_are_shown_and_points_are_appended(
    visdom_server: Any, tmp_path: Path, point: Any, frame: Any, sample: Any
) -> None:
    sink = dashboard(visdom_server.port, tmp_path, env="mine", first_window=5)
    sink.open()
    sink.losses(point(1))
    sink.images(frame(1))
    sink.samples(sample(1))
    sink.flush()
    sent = []
    sink.client.draw = lambda *_, **__: sent.append("whole")  # type: ignore[method-assign]
    for step in (2, 3):
        sink.losses(point(step))
        sink.flush()
    sink.close()
    plots = [f"exp_{n}" for n in (5, 56, 57, 58)]
    curves = [visdom_server.curves(window, "mine") for window in plots]
    names = [name for plot in curves for name in plot if not name.endswith(" raw")]
    assert names == sorted(LOSSES, key=lambda name: LOSSES.index(f"{name[:-1]}A"))
    assert all(len(plot) == 4 and all(x == [1, 2, 3] for x in plot.values()) for plot in curves)
    assert not sent
    windows = visdom_server.windows("mine")
    order = sorted(windows, key=lambda window: windows[window]["i"])
    assert order == ["exp_11", "exp_6", "exp_7", *plots, "exp_8", "exp_9", "exp_10"]
    assert windows["exp_6"]["type"] == windows["exp_7"]["type"] == "image"
    assert "stopped, epoch 1" in windows["exp_11"]["content"]
    assert (visdom_server.folder / "mine.json").is_file()  # survives a restart


def test_each_run_has_an_environment_whose_titles_are_those_of_every_run(
    visdom_server: Any, tmp_path: Path, point: Any, frame: Any
) -> None:
    titles = {}
    for name, env in (("my env/ü", "my env_ü"), ("b", "b")):
        sink = dashboard(visdom_server.port, tmp_path, name=name, env=name)
        sink.open()
        assert env in visdom_server.ask("env_state", {})  # the logged link leads to it
        sink.images(frame(1))
        sink.losses(point(1, epoch_images=10, epochs=1))
        sink.close()
        plots = [w for w in visdom_server.windows(env).values() if w["type"] == "plot"]
        assert all(plot["content"]["layout"]["xaxis"]["title"] == "epoch" for plot in plots)
        titles[name] = [plot["title"] for plot in plots]
    assert titles["b"] == titles["my env/ü"] and "loss cycle" in titles["b"]


def test_curves_wait_for_the_images_of_the_first_step(
    visdom_server: Any, tmp_path: Path, point: Any
) -> None:
    sink = dashboard(visdom_server.port, tmp_path)
    sink.losses(point(1))
    sink.flush()
    assert not visdom_server.curves("exp_1")
    sink.losses(point(2))  # a run that shows no images
    sink.flush()
    sink.client.close()
    assert visdom_server.curves("exp_1")["D_A"] == [1, 2]


def test_a_window_for_each_image(visdom_server: Any, tmp_path: Path, frame: Any) -> None:
    sink = dashboard(visdom_server.port, tmp_path, columns=0)
    sink.images(frame(1))
    sink.flush()
    sink.client.close()
    assert {"exp_7", "exp_11", "exp_12"} == set(visdom_server.windows())


def test_a_killed_server_gets_everything_when_it_is_back(
    visdom_server: Any, tmp_path: Path, point: Any, frame: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sink = dashboard(visdom_server.port, tmp_path)
    sink.images(frame(1))
    with caplog.at_level(logging.INFO):
        for step in range(1, 60):
            if step == 20:
                visdom_server.kill()
            if step == 40:
                visdom_server.start()
            sink._retry_at = 0.0  # no pause
            sink.losses(point(step))
            sink.flush()
        sink.client.close()
    assert visdom_server.curves("exp_54")["idt_B"] == list(range(1, 60))
    assert "exp_2" in visdom_server.windows()
    told = [r.message for r in caplog.records if "dashboard" in r.message]
    assert len(told) == 2 and "does not respond" in told[0] and "is back" in told[1]


def test_what_a_stopped_server_does_late_spoils_no_curve(
    visdom_server: Any, tmp_path: Path, point: Any, frame: Any
) -> None:
    sink = dashboard(visdom_server.port, tmp_path, timeout=2.0)
    sink.images(frame(1))
    sink.losses(point(1))
    sink.flush()
    visdom_server.freeze()
    for step in (2, 3, 4):  # each is sent to a server that does not answer
        sink._retry_at = 0.0
        sink.losses(point(step))
        sink.flush()
        assert sink.failures == step - 1
    visdom_server.thaw()
    wait_for(sink.client.answers)
    sink.client.timeout = PATIENCE
    for step in (5, 6):
        sink._retry_at = 0.0
        sink.losses(point(step))
        sink.flush()
    assert sink.failures == 0
    sink.losses(point(7))
    sink.close()
    for window, name in (("exp_1", "D_A"), ("exp_54", "idt_B")):
        assert visdom_server.curves(window)[name] == list(range(1, 8))


def test_a_frozen_server_costs_the_training_nothing(
    visdom_server: Any, tmp_path: Path, point: Any, frame: Any
) -> None:
    inner = dashboard(visdom_server.port, tmp_path, timeout=PATIENCE)
    sink = Background(inner, pause=0.05)
    hanging, post = threading.Event(), inner.client.post

    def watched(*message: Any) -> str:
        hanging.set()
        answer = post(*message)
        hanging.clear()
        return answer

    inner.client.post = watched  # type: ignore[method-assign]
    sink.images(frame(1))
    sink.losses(point(1))
    wait_for(lambda: visdom_server.curves("exp_1") != {})
    visdom_server.freeze()
    for step in range(2, 302):
        sink.losses(point(step))
        if step % 10 == 0:
            sink.images(frame(step))
        wait_for(hanging.is_set)
    assert hanging.is_set()  # the first request, still: no call has waited for it
    visdom_server.thaw()
    wait_for(lambda: visdom_server.curves("exp_1").get("D_A", [0])[-1] == 301)
    sink.close()
    assert visdom_server.curves("exp_1")["D_A"] == list(range(1, 302))


def test_a_server_that_hangs_at_the_end_does_not_hold_the_run(
    visdom_server: Any, tmp_path: Path, point: Any
) -> None:
    sink = Background(dashboard(visdom_server.port, tmp_path, timeout=0.5))
    visdom_server.freeze()
    sink.losses(point(1))
    sink.close()
    assert sink._thread is not None and not sink._thread.is_alive()  # by its own time-outs


def test_absent_on_another_host_is_one_warning(
    tmp_path: Path, point: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # some networks know every name
    sink = dashboard(1, tmp_path, timeout=0.5, server="http://nowhere.invalid")
    sink.open()
    for step in range(1, 8):
        sink._retry_at = 0.0
        sink.losses(point(step))
        sink.flush()
    sink.close()
    assert len(caplog.records) == 1 and "--display_id 0" in caplog.text


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_two_thousand_posts_in_bounded_memory(
    visdom_server: Any, tmp_path: Path, point: Any, frame: Any
) -> None:
    sink = dashboard(visdom_server.port, tmp_path, timeout=30)
    sink.curves = Curves(max_points=60)
    posts, after = 0, []
    post = sink.client.post

    def counted(endpoint: str, message: dict[str, Any]) -> str:
        nonlocal posts
        posts += 1
        return post(endpoint, message)

    sink.client.post = counted  # type: ignore[method-assign]
    step = 0
    while posts < 2400:
        step += 1
        sink.losses(point(step))
        if step % 4 == 0:
            sink.images(frame(step, size=64))
        sink.flush()
        assert sink.failures == 0
        if step % 100 == 0:
            after.append((resident(os.getpid()), visdom_server.memory()))
    sink.close()
    half = after[len(after) // 2]
    print(f"{posts} posts, {step} records; MB here and in the server: {after[0]} {after[-1]}")
    assert after[-1][0] - half[0] < 10 and after[-1][1] - half[1] < 10
    assert len(visdom_server.curves("exp_1")["D_A"]) <= 60


@pytest.fixture
def images(tmp_path: Path) -> Path:
    from PIL import Image

    for name in ("trainA", "trainB"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            image = Image.new("RGB", (40, 40), (50 * number, 100, 150))
            image.save(tmp_path / "data" / name / f"{number}.png")
    return tmp_path / "data"


PATIENT = f"""
import runpy, sys
from util.sinks import background
from util.sinks.dashboard import server
background.Background.__init__.__defaults__ = (0.1, {PATIENCE})
server.START_SECONDS = {PATIENCE}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def train(folder: Path, data: Path, port: int, *more: str, **variables: str) -> str:
    """Run the real program, which may wait for a server as long as a slow machine needs.

    Returns its output, without a pipe that a server could inherit.
    """
    output = folder / "console.txt"
    words = ["--dataroot", str(data), "--checkpoints_dir", str(folder / "runs"), "--name", "exp"]
    words += [*TINY.split(), "--display_port", str(port), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(folder), **variables}
    environment["PYTHONPATH"] = str(ROOT)
    with output.open("w") as file:
        subprocess.run(
            [sys.executable, "-c", PATIENT, str(ROOT / "01_train.py"), *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            check=True,
            timeout=PATIENCE,
        )
    return output.read_text()


def test_training_starts_a_server_that_stays_and_serves_the_next_run(
    tmp_path: Path, images: Path
) -> None:
    server = VisdomServer(tmp_path)
    said = train(tmp_path, images, server.port, NO_VISDOM_SERVER="")
    pid = int((tmp_path / "runs" / "exp" / "visdom_server.pid").read_text())
    try:
        assert f"http://localhost:{server.port}/env/exp" in said
        assert f"ssh -L {server.port}:localhost:{server.port}" in said
        assert f"kill {pid}" in said
        assert server.curves("exp_53", "exp")["cycle_A"] == [1, 2, 3, 4]
        again = train(
            *(tmp_path, images, server.port, "--continue_train", "--epoch_count", "2"),
            *("--n_epochs", "2"),
        )
        assert "kill" not in again and f"http://localhost:{server.port}" in again
        assert server.curves("exp_53", "exp")["cycle_A"] == list(range(1, 9))
        assert {"exp_2", "exp_3"} <= set(server.windows("exp"))
        assert "finished, epoch 2 / 2" in server.windows("exp")["exp_7"]["content"]
        log = tmp_path / "runs" / "exp" / f"visdom_server_{server.port}.log"
        assert log.is_file() and log.stat().st_size < 5000
        assert (tmp_path / "runs" / "exp" / "web" / "images" / "epoch002_samples.png").is_file()
    finally:
        os.kill(pid, 9)


@pytest.mark.parametrize("listening", [True, False])
def test_training_without_a_server_ends_well(tmp_path: Path, images: Path, listening: bool) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listening:  # accepts and never answers
            other.listen()
        said = train(tmp_path, images, other.getsockname()[1], NO_VISDOM_SERVER="1")
    assert ("does not answer" if listening else "no dashboard at port") in said
    assert "Traceback" not in said and said.count("warning:") == 1
    assert (tmp_path / "runs" / "exp" / "latest_net_G_A.pth").is_file()


def test_a_log_is_replayed(visdom_server: Any, tmp_path: Path, images: Path) -> None:
    train(tmp_path, images, 1, "--display_id", "0")
    words = ["--name", "exp", "--checkpoints_dir", str(tmp_path / "runs")]
    words += ["--display_port", str(visdom_server.port)]
    replay = [sys.executable, str(ROOT / "scripts/replay_log.py"), *words]
    subprocess.run([*replay, "--display_env", "a"], check=True, timeout=PATIENCE)
    assert visdom_server.curves("exp_52", "a")["G_B"] == [1, 2, 3, 4]
    assert {"exp_2", "exp_3"} <= set(visdom_server.windows("a"))
    (tmp_path / "runs" / "exp" / "loss_log.jsonl").unlink()  # as in a run of the reference
    subprocess.run([*replay, "--display_env", "b"], check=True, timeout=PATIENCE)
    assert visdom_server.curves("exp_52", "b")["G_B"] == [1, 2, 3, 4]
