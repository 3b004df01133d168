"""Several processes train as one with their global batch; they stop, fail and resume together."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import PATIENCE

sys.path.insert(0, str(Path(__file__).parent))

from jobs import FLOAT64, HERE, PROGRAM, TORCHRUN, Job, assert_close, epochs

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
CYCLE_GAN: list[str] = []
PIX2PIX = ["--model", "pix2pix", "--dataset_mode", "unaligned", "--netG", "resnet_6blocks"]
PIX2PIX += ["--norm", "instance", "--no_dropout", "--gan_mode", "lsgan"]
CUT = ["--model", "cut", "--flip_equivariance", "--nce_includes_all_negatives_from_minibatch"]
CUT += ["--ema", "0.9", "--diffaugment", "color,translation,cutout", "--spectral_norm"]
CUT += ["--lambda_r1", "0.1", "--d_steps", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("model", [CYCLE_GAN, PIX2PIX, CUT], ids=["cycle_gan", "pix2pix", "cut"])
@pytest.mark.parametrize("more", [[], ["--accumulate", "2"]], ids=["each", "accumulate"])
def test_processes_equal_one_with_their_global_batch(
    model: list[str], more: list[str], pictures: Path, tmp_path: Path
) -> None:
    # epochs of 5 images: the last global batch leaves processes with fewer images or none
    for world, sizes in {2: [(2, 1)], 4: [(4, 1), (2, 2)]}.items():
        words = [*model, *more, *FLOAT64, *epochs(5 if world == 4 else 4)]
        one = Job(tmp_path / f"one {world}", pictures).run(1, *words, "--batch_size", str(world))
        assert len(one.losses()) >= 10
        for processes, batch in sizes:
            many = Job(tmp_path / f"{processes} x {batch}", pictures)
            many.run(processes, *words, "--batch_size", str(batch))
            assert_close(many, one)
            assert f"the global batch has {processes} x {batch} = {world} images" in many.output()


@pytest.mark.slow
@pytest.mark.parametrize("scaler", ["", "plain", "clip", "fused"])
def test_a_model_that_steps_itself_trains_on_several_processes(
    scaler: str, pictures: Path, tmp_path: Path
) -> None:
    """With a loss scaler of its own, too, though the gradients of one process alone overflow."""
    words = ["--model", "foreign", "--no_dropout", *FLOAT64, *epochs(4)]
    jobs = []
    for processes, batch in ((1, 2), (2, 1)):
        job = Job(tmp_path / str(processes), pictures)
        job.environment["RANK_MODELS"] = str(HERE)
        job.environment |= {"FOREIGN_SCALER": scaler} if scaler else {}
        jobs.append(job.run(processes, *words, "--batch_size", str(batch)))
    assert_close(jobs[1], jobs[0])


SCRIPT = HERE.parent / "third_party/scripts/train_2025.py"


@pytest.mark.slow
@pytest.mark.parametrize("saves", ["all", "rank 0"])
def test_a_script_of_2025_trains_and_resumes_on_several_processes(
    saves: str, pictures: Path, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    text = SCRIPT.read_text()
    if saves == "rank 0":
        guarded = "if torch.distributed.get_rank() == 0: model.save_networks("
        text = text.replace("model.save_networks(", guarded)
        text = text.replace("import time", "import time\n\nimport torch", 1)
    script.write_text(text)
    words = [*FLOAT64, "--save_epoch_freq", "1", "--save_latest_freq", "2"]
    one = Job(tmp_path / "one", pictures).run(1, *words, *epochs(4), "--batch_size", "2")
    two = Job(tmp_path / "two", pictures)
    two.environment["RANK_SCRIPT"] = str(script)
    two.run(2, *words, *epochs(2))
    two.run(2, *words, *epochs(4), "--continue_train")
    assert two.output().count("the global batch has 2 x 1 = 2 images") == 2
    assert "Warning" not in two.output()
    assert not list(two.where.glob("run.*"))
    for (name, mine), yours in zip(two.weights().items(), one.weights().values(), strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-8, atol=1e-8, msg=name)


@pytest.mark.slow
def test_synchronised_batch_norm_equals_that_of_one_process(pictures: Path, tmp_path: Path) -> None:
    # the penalties need second derivatives
    words = ["--norm", "syncbatch", "--gan_mode", "wgangp", "--lambda_r1", "0.1"]
    words += [*FLOAT64, *epochs(2)]
    one = Job(tmp_path / "one", pictures).run(1, *words, "--batch_size", "2")
    assert_close(Job(tmp_path / "two", pictures).run(2, *words), one)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 2)])
def test_a_run_resumes_on_another_number_of_processes(
    before: int, after: int, pictures: Path, tmp_path: Path
) -> None:
    words = [*FLOAT64, "--accumulate", "2"]
    batch = {1: ["--batch_size", "2"], 2: ["--batch_size", "1"]}
    whole = Job(tmp_path / "whole", pictures).run(after, *words, *batch[after], *epochs(4))
    parts = Job(tmp_path / "parts", pictures)
    parts.environment["RANK_DO"] = f"0:4:{int(signal.SIGTERM)}"  # in the midst of the second epoch
    parts.run(before, *words, *batch[before], *epochs(4), code=143)
    assert len(parts.losses()) < len(whole.losses())
    parts.environment.pop("RANK_DO")
    parts.run(after, *batch[after], "--continue_train", *FLOAT64)
    if before == after:
        assert_close(parts, whole, tolerance=0)
    else:
        assert_close(parts, whole)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_an_epoch_has_the_same_images_on_any_number_of_processes(
    processes: int, pictures: Path, tmp_path: Path
) -> None:
    one = Job(tmp_path / "one", pictures).run(1, *epochs(2))
    many = Job(tmp_path / "many", pictures).run(processes, *epochs(2))
    assert many.images() == one.images()
    assert [len(paths) for paths in many.images().values()] == [5, 5]
    assert many.listings() == {0: 4}  # train and test, A and B


@pytest.mark.slow
def test_two_launchers_start_one_training(pictures: Path, tmp_path: Path) -> None:
    from conftest import free_port

    endpoint = f"--rdzv_endpoint=127.0.0.1:{free_port()}"
    where = ["-m", "torch.distributed.run", "--nnodes=2", "--rdzv_backend=c10d", endpoint]
    job = Job(tmp_path / "job", pictures)
    started = []
    for node in range(2):
        launcher = [*where, "--rdzv_id=test", "--local_addr=127.0.0.1"]
        launcher += [f"--rdzv_conf=is_host={int(node == 0)}", "--nproc_per_node=1"]
        command = [sys.executable, *launcher, PROGRAM, *job.argv(*FLOAT64, *epochs(2))]
        with job.log.open("a") as output:
            environment = os.environ | {"OMP_NUM_THREADS": "1"} | job.environment
            started.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
    assert [process.wait(PATIENCE) for process in started] == [0, 0], job.output()
    assert "the global batch has 2 x 1 = 2 images" in job.output()
    assert job.listings() == {0: 4, 1: 2}  # each launcher has a machine of its own
    one = Job(tmp_path / "one", pictures).run(1, *FLOAT64, *epochs(2), "--batch_size", "2")
    assert_close(job, one)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stop_signal_to_one_process_stops_all_and_saves_once(
    rank: int, pictures: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path / "job", pictures)
    job.environment["RANK_DO"] = f"{rank}:2:{int(signal.SIGTERM)}"
    job.run(2, *epochs(50), code=143)
    assert job.output().count("resumes from here") == 1
    assert not job.tracebacks()
    # all processes know of it a step later
    assert job.state()["progress"]["total_steps"] == 3


@pytest.mark.slow
def test_a_signal_to_the_launcher_saves_once(pictures: Path, tmp_path: Path) -> None:
    from conftest import wait_for

    job = Job(tmp_path / "job", pictures)
    process = job.start(*epochs(5000), torchrun=[*TORCHRUN, "--nproc_per_node=2"])
    record = job.where / "losses"
    wait_for(lambda: (record.exists() and record.stat().st_size) or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)
    assert job.output().count("resumes from here") == 1, job.output()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_run_with_a_reason(
    rank: int, pictures: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path / "job", pictures)
    job.environment["RANK_DO"] = f"{rank}:3:{int(signal.SIGKILL)}"
    codes = job.codes(2, *epochs(5000))
    assert (codes[rank], codes[1 - rank]) == (-signal.SIGKILL, 1)
    assert f"error: process {1 - rank}: another process of this run" in job.output()
    assert not job.tracebacks(), job.output()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_in_a_save_ends_the_run_with_a_whole_state(
    rank: int, pictures: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path / "job", pictures)
    job.environment["RANK_IN_SAVE"] = f"{rank}:2:{int(signal.SIGKILL)}"
    codes = job.codes(2, *FLOAT64, *epochs(3))
    assert (codes[rank], codes[1 - rank]) == (-signal.SIGKILL, 1)
    assert f"error: process {1 - rank}: another process of this run" in job.output()
    assert job.state()["progress"]["epoch"] == (2 if rank == 0 else 3)
    job.environment.pop("RANK_IN_SAVE")
    job.run(2, *FLOAT64, "--continue_train")
    assert_close(job, Job(tmp_path / "whole", pictures).run(2, *FLOAT64, *epochs(3)), tolerance=0)
    assert not list((job.where / "run").glob(".*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        ("RANK_DO", f"1:5:{int(signal.SIGKILL)}"),  # in the second epoch
        ("RANK_IN_SAVE", f"0:2:{int(signal.SIGKILL)}"),
        ("RANK_IN_SAVE", f"1:2:{int(signal.SIGKILL)}"),
    ],
)
def test_a_run_with_restarts_resumes_from_its_last_state(
    fault: tuple[str, str], pictures: Path, tmp_path: Path
) -> None:
    whole = Job(tmp_path / "whole", pictures).run(2, *FLOAT64, *epochs(3))
    job = Job(tmp_path / "job", pictures)
    job.environment.update([fault])
    restarts = [*TORCHRUN, "--nproc_per_node=2", "--max_restarts=1"]
    assert job.start(*FLOAT64, *epochs(3), torchrun=restarts).wait(PATIENCE) == 0, job.output()
    assert "started again by torchrun: resuming from the last state" in job.output()
    assert_close(job, whole, tolerance=0)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_hangs_is_waited_for_no_longer_than_the_timeout(
    rank: int, pictures: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path / "job", pictures)
    job.environment |= {"RANK_DO": f"{rank}:3:{int(signal.SIGSTOP)}", "RANKS_TIMEOUT": "3"}
    processes = job.fork(2, *epochs(5000))
    processes[1 - rank].join(PATIENCE)
    processes[rank].kill()
    assert processes[1 - rank].exitcode == 1
    assert "or has not answered for 3 s (RANKS_TIMEOUT)" in job.output()
    assert not job.tracebacks()


@pytest.mark.slow
def test_a_last_save_that_hangs_is_waited_for_no_longer_than_the_patience(
    pictures: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path / "job", pictures)
    job.environment |= {"RANK_IN_SAVE": f"0:1:{int(signal.SIGSTOP)}", "RANKS_PATIENCE": "4"}
    processes = job.fork(2, *epochs(1))
    processes[1].join(PATIENCE)
    processes[0].kill()
    assert processes[1].exitcode == 1
    assert "or 4 s where it works by itself (RANKS_PATIENCE)" in job.output()
    assert not job.tracebacks()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "0.1"], "process 1 differs from process 0: --lr is 0.1, not 0.0002"),
        (["--dataroot", "OTHER"], "process 1 differs from process 0: the number of images is 4"),
    ],
)
def test_processes_that_differ_are_told_before_the_first_step(
    words: list[str], message: str, pictures: Path, tmp_path: Path
) -> None:
    shutil.copytree(pictures, tmp_path / "other")
    (tmp_path / "other/trainA/trainA_0.png").unlink()
    job = Job(tmp_path / "job", pictures)
    job.environment["RANK_1_WORDS"] = " ".join(words).replace("OTHER", str(tmp_path / "other"))
    job.run(2, *epochs(1), code=1)
    assert job.output().count(f"error: {message}") == 1
    assert not (job.where / "run").exists()
    assert not job.tracebacks()


@pytest.mark.slow
def test_images_that_one_process_cannot_load_end_all_after_a_save(
    pictures: Path, tmp_path: Path
) -> None:
    (pictures / "trainA" / "trainA_4.png").write_bytes(b"damaged")
    job = Job(tmp_path / "job", pictures)
    job.run(2, "--max_bad_images", "0", *epochs(9), code=1)
    assert job.output().count("error: process") == 1, job.output()
    assert "trainA_4.png" in job.output()
    assert job.output().count("resumes from here") <= 1
    assert not job.tracebacks()


@pytest.mark.slow
def test_a_loss_of_one_process_that_is_not_finite_ends_all_at_that_step(
    pictures: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path / "job", pictures)
    job.environment["RANK_DO"] = "1:2:-1"
    job.run(2, *epochs(9), code=1)
    assert job.output().count("error: a loss is not finite at step 2") == 1, job.output()
    report = json.loads((job.where / "run" / "not_finite.json").read_text())
    assert len(report["files"]["A_paths"]) == 2  # those of both processes


@pytest.mark.slow
def test_all_go_on_after_a_worker_of_one_process_was_killed(pictures: Path, tmp_path: Path) -> None:
    """Every image of each epoch is trained on once."""
    job = Job(tmp_path / "job", pictures)
    job.environment["RANK_DO"] = "1:2:-2"
    job.run(2, *epochs(2), "--num_threads", "1")
    assert job.output().count("going on with --num_threads 0 instead of 1") == 1, job.output()
    assert "process 1: warning: a process that loads images" in job.output()
    (first, second), steps = job.images().values(), job.losses()
    assert set(first) == set(second) and len(first) == len(second) == len(set(first))
    assert len(steps) == 2 * -(-len(first) // 2)
    assert job.state()["progress"]["total_iters"] == 2 * len(first)
