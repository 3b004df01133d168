"""The start of a run on several processes: started by torchrun, or by this program itself."""

import hashlib
import logging
import os
import platform
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .. import ranks, sharing
from ..checkpoints.run_folder import run_folder
from ..checkpoints.training_state import read_state, state_path
from ..errors import UserError
from ..options import Options
from ..threads import cpu_cores
from ..video_files import is_video

log = logging.getLogger(__name__)

OF_PROCESS = ("gpu_ids",)
OF_MACHINE = ("dataroot", "checkpoints_dir", "num_threads", "cache", "cache_gb", "cache_dir")
"""Options in which machines may differ."""
BY_HAND = ("start_from", "epoch", "load_iter", "epoch_count")
"""Options that choose weights or an epoch, so that a start does not resume from its last state.

A restart leaves them out.
"""
CODE = ("data", "models", "options", "util")
SAME_IMAGES = "all machines need the same images under --dataroot"
"""What to do where `images_of` differ."""
NAMES = "the list of their names (its hash)"
SAVING_SECONDS = "600"
"""For the last save after a stop signal, instead of the launcher's 30."""


def needs_launch(opt: Namespace) -> bool:
    """Return whether --gpu_ids names several GPUs, which all exist, and nothing was launched yet.

    Where a GPU does not exist, choosing the device raises the error.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return len(opt.gpu_ids) > 1 and not ranks.launched() and max(opt.gpu_ids) < gpus


def launch(program: str, argv: Sequence[str], processes: int) -> int:
    """Run a program with arguments in several processes, as torchrun does; return the exit code."""
    from torch.distributed import run  # slow to import
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cpu_cores() // processes)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SAVING_SECONDS)
    if sys.platform == "win32":  # PyTorch is built without libuv there
        os.environ.setdefault("USE_LIBUV", "0")
    try:
        run.main(["--standalone", f"--nproc_per_node={processes}", program, *argv])
    except ChildFailedError as error:  # the process itself has said why
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    except SignalException as stop:
        return 128 + int(stop.sigval)
    return 0


def join(opt: Options) -> Options:
    """Join the other processes of a run, if any, and return the options of this one.

    One process alone translates a video. Raises UserError as `join_others` does, and where the
    processes differ in their flags.
    """
    if not (opt.isTrain or ranks.launched()) and is_video(opt):
        return opt
    gpu_ids = join_others(opt, "gpu_ids" in opt.given)
    if not ranks.is_launched_here():
        return opt
    opt = opt.replace(gpu_ids=gpu_ids)
    check_alike(_flags(opt), "give all processes the same command line")
    return opt


def join_others(opt: Namespace, by_hand: bool) -> list[int]:
    """Join the other processes, if any, and return the GPU of this one, as a list.

    Where `opt.gpu_ids` are several GPUs, this program is started once for each of them, and this
    process ends with their exit code. `by_hand`: they were typed. Raises UserError where there is
    no GPU for this process, and where the processes differ in their versions.
    """
    if needs_launch(opt):
        sys.exit(launch(sys.argv[0], sys.argv[1:], len(opt.gpu_ids)))
    if not ranks.launched():
        return opt.gpu_ids
    gpu_ids = _own_gpu(opt.gpu_ids, by_hand)
    on_gpus = bool(gpu_ids) and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(gpu_ids[0])
    elif os.environ.get("OMP_NUM_THREADS") == "1":  # set by torchrun, however many cores there are
        local_world = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(max(1, cpu_cores() // local_world))
    ranks.join(on_gpus)
    check_alike(_versions(), "install the same on all machines")
    return gpu_ids


def complete_on_main(opt: Options, complete: Callable[[Options], Options]) -> Options:
    """Return the options as rank 0 completes them, from the disk that it sees.

    What a machine or a process has of its own stays. After a restart by torchrun the run resumes
    from the state that it has stored.
    """
    own = OF_PROCESS + tuple(name for name in OF_MACHINE if name in opt.given)
    completed = sharing.on_main(lambda: complete(_resuming(opt) if opt.isTrain else opt))
    if ranks.is_main():
        return completed
    return completed.replace(**{name: getattr(opt, name) for name in own})


def start_alike(opt: Namespace, dataset: Any, model: Any) -> None:
    """Give all processes the weights of rank 0, and log how many train together.

    `dataset` is a loader with its data set. Raises UserError where the processes differ in their
    data.
    """
    if ranks.world() == 1:
        return
    check_alike(images_of(dataset.dataset), SAME_IMAGES)
    networks = [value for value in vars(model).values() if isinstance(value, nn.Module)]
    for network in networks:
        ranks.broadcast([*network.parameters(), *network.buffers()])
    layers = [layer for network in networks for layer in network.modules()]
    if any(isinstance(x, _BatchNorm) and not isinstance(x, nn.SyncBatchNorm) for x in layers):
        log.info("batch norm has the statistics of each process; --norm syncbatch: of all of them")
    log.info(
        "training on %d processes: the global batch has %d x %d = %d images",
        *(ranks.world(), ranks.world(), opt.batch_size, ranks.world() * opt.batch_size),
    )


def check_alike(properties: Mapping[str, Any], remedy: str) -> None:
    """Raise UserError, on all processes, naming a property in which a process differs from rank 0.

    It names the first one, both of its values and the remedy.
    """
    everyones = ranks.gather_objects({name: str(value) for name, value in properties.items()})
    for number, theirs in enumerate(everyones):
        for name, value in everyones[0].items():
            if theirs.get(name) != value:
                raise ranks.everywhere(
                    UserError(
                        f"process {number} differs from process 0: {name} is {theirs.get(name)}, "
                        f"not {value}; {remedy}"
                    )
                )


def images_of(dataset: Any) -> dict[str, Any]:
    """Return, for `check_alike`, the number of file names that a data set has, and their hash."""
    lists = [v for k, v in sorted(vars(dataset).items()) if k.lower().endswith("paths")]
    names = [os.path.basename(str(path)) for v in lists if isinstance(v, list) for path in v]  # noqa: PTH119
    return hash_of_names(len(dataset), names)


def names_of_images(dataset: Any) -> str:
    """Return a hash of the names of the files that a data set has."""
    return images_of(dataset)[NAMES]


def hash_of_names(number: int, names: Iterable[str]) -> dict[str, Any]:
    """Return, for `check_alike`, a number of images, and a hash of their names in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for name in names:
        digest.update(name.encode(errors="surrogateescape") + b"\0")
    return {
        "the number of images": number,
        NAMES: digest.hexdigest(),
    }


def _own_gpu(gpu_ids: list[int], by_hand: bool) -> list[int]:
    """Return the GPU of this process, as a list; `gpu_ids` where there are no GPUs."""
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if not gpu_ids or not available:
        return gpu_ids
    gpus = gpu_ids if by_hand else list(range(available))
    if local_rank >= len(gpus):
        raise UserError(
            f"--gpu_ids {','.join(map(str, gpus))}: there is no GPU for process {local_rank} of "
            "this machine; start one process for each GPU (--nproc_per_node)"
        )
    return [gpus[local_rank]]


def _resuming(opt: Options) -> Options:
    """Return the options of a restart, which resume from the state that this job has stored."""
    path = state_path(run_folder(opt))
    if not ranks.restarted() or not path.is_file():
        return opt
    if read_state(path, mmap=True).get("job") != ranks.job():
        return opt  # of an older run, while this one has stored nothing yet
    log.info("started again by torchrun: resuming from the last state")
    given = (opt.given - set(BY_HAND)) | {"continue_train"}
    return opt.replace(continue_train=True, start_from="", given=given)


def _versions() -> dict[str, str]:
    digest = hashlib.blake2b(digest_size=8)
    root = Path(__file__).parents[2]
    for folder in CODE:
        for file in sorted((root / folder).rglob("*.py")):
            digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return {
        "the version of PyTorch": torch.__version__.split("+")[0],
        "the version of Python": ".".join(platform.python_version_tuple()[:2]),
        "the code of this toolkit (its hash)": digest.hexdigest(),
    }


def _flags(opt: Options) -> dict[str, str]:
    left_out = {*OF_PROCESS, *OF_MACHINE}
    return {f"--{k}": str(v) for k, v in sorted(opt.values().items()) if k not in left_out}
