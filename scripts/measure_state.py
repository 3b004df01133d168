"""Measure the size and write time of the training state of a run with full image pools.

python scripts/measure_state.py [flags of 01_train.py]
"""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch

from models import create_model
from options.train_options import TrainOptions
from util.checkpoints.training_state import write_state
from util.image_pool import ImagePool


def main(argv: list[str] | None = None) -> int:
    """Print the size of one state file and the median time of five writes."""
    words = sys.argv[1:] if argv is None else argv
    opt = TrainOptions().parse(["--dataroot", "unused", "--seed", "0", *words])
    model = create_model(opt)
    model.setup(opt)
    for optimizer in model.optimizers:  # a step with zero gradients creates its state
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = torch.zeros_like(weight)
        optimizer.step()
    for pool in [value for value in vars(model).values() if isinstance(value, ImagePool)]:
        pool.query(torch.zeros(opt.pool_size, opt.output_nc, opt.crop_size, opt.crop_size))
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        path, seconds = Path(folder) / "state.pth", []
        for _ in range(5):
            began = time.perf_counter()
            write_state(path, {"model": model.training_state()})
            seconds.append(time.perf_counter() - began)
        print(f"{path.stat().st_size / 1e6:.0f} MB, {sorted(seconds)[2]:.2f} s to write")
    return 0


if __name__ == "__main__":
    sys.exit(main())
