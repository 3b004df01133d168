"""Count what a step and an inference dispatch on a GPU, without one: nothing is computed.

The tensors have no values (scripts/fake_cuda.py). Further flags of 01_train.py apply to all rows.
"""

import argparse
import sys
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `benchmark.py count`."""
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)


def run(args: argparse.Namespace) -> list[dict[str, float | str]]:
    """Return a row for a step, and one for an image in inference, of each precision."""
    rows: list[dict[str, float | str]] = []
    for precision in args.precisions:
        rows.append({"what": f"step {precision}", **count_step(precision, args.more).row()})
        rows.append({"what": f"image {precision}", **count_inference(precision).row()})
    return rows


def count_step(precision: str, words: list[str]) -> Any:
    """Return the counts of the second training step with random images."""
    import torch
    from benchmark_counts import Counts
    from fake_cuda import CUDA, fake_cuda, record_weights

    from models import create_model
    from options.train_options import TrainOptions

    flags = ["--dataroot", "unused", "--seed", "0", "--precision", precision, *words]
    opt = TrainOptions().parse(flags)
    with mock.patch("util.devices.pick_device", lambda *_: CUDA), fake_cuda():
        model = create_model(opt)
        model.setup(opt)
        recorded = record_weights([getattr(model, f"net{name}") for name in model.model_names])
        images = {side: torch.rand(1, 3, opt.crop_size, opt.crop_size) for side in ("A", "B")}
        batch = {**images, "A_paths": ["a"], "B_paths": ["b"]}
        for _ in range(2):
            with Counts() as counts:
                model.set_input(batch)
                model.optimize_parameters()
        del recorded
    return counts


def count_inference(precision: str, size: int = 256) -> Any:
    """Return the counts of the second translated image."""
    import torch
    from benchmark_counts import Counts
    from fake_cuda import CUDA, fake_cuda

    from models.inference.translator import InferenceSettings, Translator
    from models.networks import define_G

    with fake_cuda():
        net = define_G(3, 3, 64, "resnet_9blocks", "instance").to(CUDA)
        translator = Translator(net, CUDA, InferenceSettings(precision, tile=0))
        for _ in range(2):
            with mock.patch("models.inference.translator.available_bytes", lambda _: 2**60):
                images = torch.rand(1, 3, size, size)
                with Counts() as counts:
                    translator(images)
    return counts
