"""Check the ranges and combinations of options; the one place that does."""

import math
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from data.augmentation import augmentation_of
from data.transforms import PREPROCESS, size_after_resize
from models.compute.compilation import CUDA_GRAPH_MODES
from models.parts.diffaugment import AUGMENTATIONS
from models.parts.discriminators import patch_map_size, smallest_image
from models.parts.resnet_generator import ResnetGenerator
from util.deep_images import check_background, check_value_range
from util.errors import UsageError
from util.evaluation.figures import check_metrics
from util.sinks.dashboard.client import server_address
from util.video_files import is_video, refuse_other_videos

POSITIVE = {
    *("ngf", "ndf", "input_nc", "output_nc", "n_layers_D", "init_gain"),
    *("batch_size", "load_size", "crop_size", "max_dataset_size", "display_winsize"),
    *("lr", "lr_G", "lr_D", "lr_decay_iters", "epoch_count", "num_test", "aspect_ratio"),
    *("max_size", "quality", "together", "accumulate", "cache_gb", "d_steps"),
    *("print_freq", "display_freq", "update_html_freq", "save_latest_freq", "save_epoch_freq"),
    *("eval_max", "shard_images", "shard_streams", "shard_shuffle"),
}
NOT_NEGATIVE = {
    *("num_threads", "readers", "pool_size", "n_epochs", "n_epochs_decay", "load_iter"),
    *("display_ncols", "keep_last", "tile", "eval_freq", "patience"),
    *("lambda_A", "lambda_B", "lambda_identity", "lambda_L1", "lambda_GAN", "lambda_r1"),
    "max_bad_images",
}
FLAGS = {"together": "batch_size", "readers": "num_threads"}
"""Flags of the options of inference that have another name than their flag."""
LARGEST_SEED = 2**63 - 1
"""The largest seed that PyTorch's random generators take."""
TWO_DOMAINS = ("cycle_gan", "cut", "pix2pix", "colorization")
"""Models that take images A and B."""
PAIRS = ("unaligned", "aligned", "colorization")
"""Our data sets that give images A and B; those of plug-ins may give A alone."""
MAX_ASPECT_RATIO = 100
"""Of --aspect_ratio and its inverse; beyond it results exceed the memory."""
UNET_MULTIPLES = {"unet_128": 128, "unet_256": 256}
"""A U-Net halves its input 7 or 8 times, down to one pixel."""


def validate(opt: Namespace, complete: bool = True) -> None:
    """Raise UsageError, naming the flag, its value and the remedy, for options that do not fit.

    Options that are not `complete`, where the run on disk decides those that were not typed, are
    checked each by itself.
    """
    _check_ranges(opt)
    _check_places(opt)
    check_value_range(opt.value_range)
    check_background(opt.background)
    if not complete:
        return
    _check_dataset_mode(opt)
    if not opt.isTrain:
        _check_inference(opt)
        return
    if opt.preprocess == "keep":
        raise UsageError(
            "--preprocess keep is for inference: to train on whole images use --preprocess none"
        )
    _check_epochs(opt)
    _check_sizes(opt)
    augmentation_of(opt)  # raises where its flags do not fit
    _check_cache(opt)
    _check_evaluation(opt)
    if opt.display_id > 0:
        server_address(opt.display_server, opt.display_port)
    _check_quality(opt)
    _check_cuda_graphs(opt)


def _check_dataset_mode(opt: Namespace) -> None:
    if not opt.isTrain and opt.dataset_mode == "shards":
        raise UsageError(
            "--dataset_mode shards is for training: unpack the shards with tar -xf, and translate "
            "the folder"
        )
    if opt.model == "test" and opt.dataset_mode in PAIRS:
        raise UsageError(
            f"--model test takes --dataset_mode single, not {opt.dataset_mode}; "
            "to translate with pairs or both ways use --model pix2pix or cycle_gan"
        )
    if opt.dataset_mode == "single" and opt.model in TWO_DOMAINS:
        raise UsageError(
            f"--dataset_mode single has images of one kind, and --model {opt.model} takes two; "
            "leave --dataset_mode out"
        )


def _check_cuda_graphs(opt: Namespace) -> None:
    if opt.accumulate > 1 and opt.compile in CUDA_GRAPH_MODES:
        raise UsageError(
            f"--compile {opt.compile}: CUDA graphs overwrite the gradients that --accumulate "
            f"{opt.accumulate} sums; use --compile default"
        )
    if opt.grad_checkpoint and opt.compile in CUDA_GRAPH_MODES:
        raise UsageError(
            f"--compile {opt.compile}: CUDA graphs overwrite what --grad_checkpoint recomputes; "
            "use --compile default, or leave one of them out"
        )


def _check_ranges(opt: Namespace) -> None:
    for name, value in vars(opt).items():
        if value is not None:
            _check_range(name, value)


def _check_range(name: str, value: Any) -> None:
    flag = f"--{FLAGS.get(name, name)}"
    if name in POSITIVE and not value > 0:
        raise UsageError(f"{flag} {value}: must be above 0")
    if name in NOT_NEGATIVE and value < 0:
        raise UsageError(f"{flag} {value}: must not be negative")
    if isinstance(value, float) and math.isnan(value):
        raise UsageError(f"{flag} {value}: must be a number")
    if name == "seed" and not 0 <= value <= LARGEST_SEED:
        raise UsageError(f"{flag} {value}: must be from 0 to 2**63 - 1 ({LARGEST_SEED})")
    if name == "beta1" and not 0 <= value < 1:
        raise UsageError(f"{flag} {value}: must be at least 0 and below 1")
    if name == "max_bad_images" and value > 1:
        raise UsageError(f"{flag} {value:g}: must be a share, at most 1; 0.05 is 5 %")


def _check_places(opt: Namespace) -> None:
    """Refuse folders that an unset shell variable left empty, and names that leave a folder."""
    for name in ("dataroot", "checkpoints_dir", "results_dir", "output"):
        if vars(opt).get(name) == "":
            raise UsageError(f"--{name} is empty: give a folder, or leave the flag out")
    for name in ("phase", "epoch"):
        value = getattr(opt, name)
        if not value or "/" in value or "\\" in value:
            raise UsageError(
                f"--{name} {value or '(empty)'}: is part of the names of files and folders; "
                f"give {'a number or latest' if name == 'epoch' else 'train, test or the like'}"
            )


def _check_inference(opt: Namespace) -> None:
    _check_shape(opt)
    if opt.quality > 100:
        raise UsageError(f"--quality {opt.quality}: must be at most 100")
    if opt.max_size is not None and opt.preprocess != "keep":
        raise UsageError(
            f"--max_size {opt.max_size} is for images that keep their size: leave out "
            "--preprocess, --load_size and --crop_size (pairs have the size of the training)"
        )
    if opt.output is not None and opt.model != "test":
        raise UsageError(
            f"--output takes the images of one generator: use --model test, not {opt.model}, "
            "or leave it out for the gallery"
        )
    if opt.output is not None and opt.dataroot is not None:
        _check_output(opt)
    _check_video(opt)
    for name in ("format", "quality"):
        if name in opt.given and opt.output is None:
            raise UsageError(f"--{name} is for images in --output DIR; the gallery is PNG")
    if opt.overwrite and (opt.output is None or opt.skip_existing):
        reason = "is for --output DIR" if opt.output is None else "contradicts --skip_existing"
        raise UsageError(f"--overwrite {reason}: leave it out")


def _check_video(opt: Namespace) -> None:
    refuse_other_videos(opt)
    if not is_video(opt):
        return
    if opt.model != "test":
        raise UsageError(f"a video is translated with --model test, not {opt.model}")
    for name in ("format", "quality"):
        if name in opt.given:
            raise UsageError(f"--{name} is for images, and --input is a video: leave it out")


def _check_shape(opt: Namespace) -> None:
    if {"crop_size", "load_size"} <= opt.given:
        _check_crop(opt, suggested=opt.crop_size)
    if not 1 / MAX_ASPECT_RATIO <= opt.aspect_ratio <= MAX_ASPECT_RATIO:
        raise UsageError(
            f"--aspect_ratio {opt.aspect_ratio:g}: must be from 1/{MAX_ASPECT_RATIO} to "
            f"{MAX_ASPECT_RATIO}"
        )


def _check_output(opt: Namespace) -> None:
    if os.path.isfile(opt.output):  # noqa: PTH113 - False where the name is too long
        raise UsageError(f"--output {opt.output}: is a file; give a folder for the results")
    source, output = Path(opt.dataroot).resolve(), Path(opt.output).resolve()
    if os.path.isdir(source):  # noqa: PTH112 - False where the name is too long
        clash = output == source
    else:
        same_suffix = opt.format == "same" or source.suffix.lower() == f".{opt.format}"
        clash = output == source.parent and (same_suffix or is_video(opt))
    if clash:
        raise UsageError(
            f"--output {opt.output}: results would overwrite the input there; choose another folder"
        )


def _check_epochs(opt: Namespace) -> None:
    last = opt.n_epochs + opt.n_epochs_decay
    if last == 0:
        raise UsageError("--n_epochs 0 --n_epochs_decay 0: there is no epoch to train")
    if opt.epoch_count > last:
        raise UsageError(
            f"--epoch_count {opt.epoch_count} is beyond the last epoch, {last} (--n_epochs "
            f"{opt.n_epochs} + --n_epochs_decay {opt.n_epochs_decay}); raise one of these"
        )


def _check_evaluation(opt: Namespace) -> None:
    """Refuse metrics that do not exist, and data that cannot be paired with real images."""
    check_metrics(opt.eval_metrics.split(","), "--eval_metrics")
    if opt.patience > 0 and opt.eval_freq == 0:
        raise UsageError(f"--patience {opt.patience} counts evaluations: add --eval_freq 5")
    if opt.eval_freq > 0 and opt.dataset_mode not in ("unaligned", "aligned"):
        raise UsageError(
            f"--eval_freq {opt.eval_freq}: evaluation needs --dataset_mode unaligned or aligned, "
            f"not {opt.dataset_mode}"
        )


def _check_quality(opt: Namespace) -> None:
    if not 0 <= opt.ema < 1:
        raise UsageError(f"--ema {opt.ema:g}: must be at least 0 and below 1, such as 0.999")
    names = opt.diffaugment.split(",") if opt.diffaugment else []
    if unknown := [name for name in names if name not in AUGMENTATIONS]:
        raise UsageError(
            f"--diffaugment {opt.diffaugment}: there is no {unknown[0] or 'empty name'}; choose "
            f"from {','.join(AUGMENTATIONS)}"
        )


def _check_cache(opt: Namespace) -> None:
    if opt.cache_gb is not None and opt.cache == "none":
        raise UsageError(
            f"--cache_gb {opt.cache_gb:g} limits a cache, and there is none: "
            "add --cache ram or --cache disk, or leave it out"
        )
    if opt.cache_gb is not None and math.isinf(opt.cache_gb):
        raise UsageError("--cache_gb inf: leave it out for half of what is free")
    if "cache_dir" in opt.given and opt.cache != "disk":
        raise UsageError(
            f"--cache_dir {opt.cache_dir} is the folder of --cache disk, not of --cache {opt.cache}"
        )


def _check_crop(opt: Namespace, suggested: int) -> None:
    """Refuse a crop larger than the resized image; `suggested` is a --load_size that fits."""
    steps = PREPROCESS[opt.preprocess]
    resizes = "resize" in steps or "scale_width" in steps
    if "crop" in steps and resizes and opt.crop_size > opt.load_size:
        minimum = f", or at least {opt.crop_size}" if suggested > opt.crop_size else ""
        raise UsageError(
            f"--crop_size {opt.crop_size} is larger than --load_size {opt.load_size}; "
            f"give --load_size {suggested}{minimum}"
        )


def _check_sizes(opt: Namespace) -> None:
    steps = PREPROCESS[opt.preprocess]
    if "crop" in steps:
        _check_crop(opt, suggested=round(opt.crop_size * 286 / 256))  # as the defaults
        _check_side(opt, "crop_size", opt.crop_size)
    elif "scale_width" in steps:  # heights depend on the images: checked per batch
        _check_side(opt, "load_size", size_after_resize((opt.load_size, opt.load_size), opt)[0])


def _check_side(opt: Namespace, flag: str, side: int) -> None:
    given = f"--{flag} {getattr(opt, flag)}"
    multiple = UNET_MULTIPLES.get(opt.netG, ResnetGenerator.multiple)
    smallest = UNET_MULTIPLES.get(opt.netG, ResnetGenerator.smallest)
    if side % multiple or side < smallest:
        raise UsageError(
            f"--netG {opt.netG} takes sizes that are multiples of {multiple}, at least {smallest}, "
            f"not {given}; the nearest is {max(smallest, round(side / multiple) * multiple)}"
        )
    layers = {"basic": 3, "n_layers": opt.n_layers_D}.get(opt.netD)
    if layers is not None and patch_map_size(side, layers) < 1:
        raise UsageError(
            f"{given} is too small for --netD {opt.netD} with {layers} layers; "
            f"use at least {smallest_image(layers)}, or fewer layers: --netD n_layers --n_layers_D"
        )
