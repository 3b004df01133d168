"""Measure what a save of a run with full image pools writes, and how long the training waits.

python scripts/measure_state.py [flags of 01_train.py]
"""

import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch

from models import create_model
from options.train_options import TrainOptions
from util.image_pool import ImagePool
from util.memory import FOR_TRAINING, keep_freed_memory
from util.run.health import Health
from util.run.progress import Progress
from util.run.saver import Saver

SAVES = 5


def main(argv: list[str] | None = None) -> int:
    """Print the size of a save and the median times of five."""
    words = sys.argv[1:] if argv is None else argv
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        where = ["--dataroot", "unused", "--checkpoints_dir", folder, "--name", "run"]
        opt = TrainOptions().parse([*where, "--seed", "0", *words])
        keep_freed_memory(FOR_TRAINING)
        model = _with_full_state(opt)
        data: Any = _OneImage()
        nothing: Any = Namespace(state=dict)
        saver = Saver(opt, model, Progress(opt, data, visible=False), Health(opt), nothing)
        paused, seconds = [], []
        for _ in range(SAVES):
            began = time.perf_counter()
            saver.save_latest()
            paused.append(time.perf_counter() - began)
            saver.finish()
            seconds.append(time.perf_counter() - began)
        files = [path.stat().st_size for path in Path(folder, "run").glob("*.pth")]
    print(
        f"{sum(files) / 1e6:.0f} MB, of which the training state {max(files) / 1e6:.0f} MB; a save "
        f"takes {sorted(seconds)[SAVES // 2]:.2f} s, of which the training waits for "
        f"{sorted(paused)[SAVES // 2]:.2f} s"
    )
    return 0


class _OneImage:
    """A loader, and a data set, of one image, which is never read."""

    @property
    def dataset(self) -> "_OneImage":
        """What is loaded."""
        return self

    def __len__(self) -> int:
        """Return the number of images."""
        return 1


def _with_full_state(opt: Any) -> Any:
    """Return a model that has all that a training stores."""
    model = create_model(opt)
    model.setup(opt)
    for optimizer in model.optimizers:  # a step with zero gradients creates its state
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = torch.zeros_like(weight)
        optimizer.step()
    for pool in [value for value in vars(model).values() if isinstance(value, ImagePool)]:
        pool.query(torch.zeros(opt.pool_size, opt.output_nc, opt.crop_size, opt.crop_size))
    return model


if __name__ == "__main__":
    sys.exit(main())
