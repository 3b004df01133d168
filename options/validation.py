"""The one place where combinations of options are checked."""

import math
import os
from argparse import Namespace
from pathlib import Path

from data.transforms import PREPROCESS, resized
from models.compute.compilation import CUDA_GRAPH_MODES
from models.parts.discriminators import patch_map_size, smallest_image
from models.parts.resnet_generator import ResnetGenerator
from util.errors import UsageError
from util.video_files import is_video

POSITIVE = {
    *("ngf", "ndf", "input_nc", "output_nc", "n_layers_D", "init_gain"),
    *("batch_size", "load_size", "crop_size", "max_dataset_size", "display_winsize"),
    *("lr", "lr_decay_iters", "epoch_count", "num_test", "aspect_ratio"),
    *("max_size", "quality", "together", "accumulate", "cache_gb"),
    *("print_freq", "display_freq", "update_html_freq", "save_latest_freq", "save_epoch_freq"),
}
NOT_NEGATIVE = {
    *("num_threads", "readers", "pool_size", "n_epochs", "n_epochs_decay", "load_iter"),
    *("display_ncols", "keep_last", "tile"),
    *("lambda_A", "lambda_B", "lambda_identity", "lambda_L1", "max_bad_images"),
}
FLAGS = {"together": "batch_size", "readers": "num_threads"}
"""Options of inference that are typed under another name."""
LARGEST_SEED = 2**63 - 1
"""What PyTorch's generators take."""
TWO_DOMAINS = ("cycle_gan", "pix2pix", "colorization")
"""Models that take images A and B."""
MOST_STRETCHED = 100
"""Width by height of a pixel, or height by width; beyond it results do not fit into memory."""
UNET_MULTIPLES = {"unet_128": 128, "unet_256": 256}


def validate(opt: Namespace) -> None:
    """Raise UsageError, naming flags, values and the remedy, where options do not go together."""
    _check_ranges(opt)
    _check_places(opt)
    if opt.model == "test" and opt.dataset_mode != "single":
        raise UsageError(
            f"--model test takes --dataset_mode single, not {opt.dataset_mode}; "
            "to translate with pairs or both ways use --model pix2pix or cycle_gan"
        )
    if opt.dataset_mode == "single" and opt.model in TWO_DOMAINS:
        raise UsageError(
            f"--dataset_mode single has images of one kind, and --model {opt.model} takes two; "
            "leave --dataset_mode out"
        )
    if not opt.isTrain:
        _check_inference(opt)
        return
    if opt.preprocess == "keep":
        raise UsageError("--preprocess keep is for inference: to train on whole pictures use none")
    _check_epochs(opt)
    _check_sizes(opt)
    _check_cache(opt)
    if opt.accumulate > 1 and opt.compile in CUDA_GRAPH_MODES:
        raise UsageError(
            f"--compile {opt.compile}: CUDA graphs write over the gradients that --accumulate "
            f"{opt.accumulate} adds up; use --compile default"
        )


def _check_ranges(opt: Namespace) -> None:
    for name, value in vars(opt).items():
        if value is None:
            continue
        if name in POSITIVE and not value > 0:
            raise UsageError(f"--{FLAGS.get(name, name)} {value}: must be above 0")
        if name in NOT_NEGATIVE and value < 0:
            raise UsageError(f"--{FLAGS.get(name, name)} {value}: must not be negative")
        if isinstance(value, float) and math.isnan(value):
            raise UsageError(f"--{name} {value}: must be a number")
    if opt.seed is not None and not 0 <= opt.seed <= LARGEST_SEED:
        raise UsageError(f"--seed {opt.seed}: must be from 0 to 2**63 - 1 ({LARGEST_SEED})")
    if not 0 <= getattr(opt, "beta1", 0) < 1:
        raise UsageError(f"--beta1 {opt.beta1}: must be at least 0 and below 1")
    share = getattr(opt, "max_bad_images", 0)
    if share > 1:
        raise UsageError(f"--max_bad_images {share:g}: is a share, at most 1; 0.05 is 5 %")


def _check_places(opt: Namespace) -> None:
    """Refuse what an unset variable of a shell leaves, and names that lead out of a folder."""
    for name in ("dataroot", "checkpoints_dir", "results_dir", "output"):
        if getattr(opt, name, None) == "":
            raise UsageError(f"--{name} is empty: give a folder, or leave the flag out")
    for name in ("phase", "epoch"):
        value = getattr(opt, name)
        if not value or "/" in value or "\\" in value:
            raise UsageError(
                f"--{name} {value or '(empty)'}: it is part of the names of files and folders; "
                f"give {'a number or latest' if name == 'epoch' else 'train, test or the like'}"
            )


def _check_inference(opt: Namespace) -> None:
    _check_shape(opt)
    if opt.quality > 100:
        raise UsageError(f"--quality {opt.quality}: 100 is the most")
    if opt.max_size is not None and opt.preprocess != "keep":
        raise UsageError(
            f"--max_size {opt.max_size} is for pictures that keep their size: leave out "
            "--preprocess, --load_size and --crop_size (pairs have the size of the training)"
        )
    if opt.output is not None and opt.model != "test":
        raise UsageError(
            f"--output takes the pictures of one generator: use --model test, not {opt.model}, "
            "or leave it out for the gallery"
        )
    if opt.output is not None and opt.dataroot is not None:
        _check_output(opt)
    if is_video(opt) and opt.model != "test":
        raise UsageError(f"a video is translated with --model test, not {opt.model}")
    for name in ("format", "quality"):
        if name in opt.given and (opt.output is None or is_video(opt)):
            raise UsageError(f"--{name} is for pictures in --output DIR; the gallery is PNG")


def _check_shape(opt: Namespace) -> None:
    if {"crop_size", "load_size"} <= opt.given:
        _check_crop(opt, better=opt.crop_size)
    if not 1 / MOST_STRETCHED <= opt.aspect_ratio <= MOST_STRETCHED:
        raise UsageError(
            f"--aspect_ratio {opt.aspect_ratio:g}: must be from 1/{MOST_STRETCHED} to "
            f"{MOST_STRETCHED}"
        )


def _check_output(opt: Namespace) -> None:
    source, output = Path(opt.dataroot).resolve(), Path(opt.output).resolve()
    if os.path.isdir(source):  # noqa: PTH112 - False where the name is too long
        clash = output == source
    else:
        same_ending = opt.format == "same" or source.suffix.lower() == f".{opt.format}"
        clash = output == source.parent and (same_ending or is_video(opt))
    if clash:
        raise UsageError(
            f"--output {opt.output}: results would take the place of the input there; "
            "choose another folder"
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


def _check_cache(opt: Namespace) -> None:
    if opt.cache_gb is not None and opt.cache == "none":
        raise UsageError(
            f"--cache_gb {opt.cache_gb:g} bounds a cache, and there is none: "
            "add --cache ram or --cache disk, or leave it out"
        )
    if opt.cache_gb is not None and math.isinf(opt.cache_gb):
        raise UsageError("--cache_gb inf: leave it out for half of what is free")
    if "cache_dir" in opt.given and opt.cache != "disk":
        raise UsageError(
            f"--cache_dir {opt.cache_dir} is the folder of --cache disk, not of --cache {opt.cache}"
        )


def _check_crop(opt: Namespace, better: int) -> None:
    """Refuse a crop larger than what it is cut from; `better` is a --load_size that fits."""
    steps = PREPROCESS[opt.preprocess]
    resizes = "resize" in steps or "scale_width" in steps
    if "crop" in steps and resizes and opt.crop_size > opt.load_size:
        least = f", or at least {opt.crop_size}" if better > opt.crop_size else ""
        raise UsageError(
            f"--crop_size {opt.crop_size} is larger than --load_size {opt.load_size}; "
            f"give --load_size {better}{least}"
        )


def _check_sizes(opt: Namespace) -> None:
    steps = PREPROCESS[opt.preprocess]
    if "crop" in steps:
        _check_crop(opt, better=round(opt.crop_size * 286 / 256))
        _check_side(opt, "crop_size", opt.crop_size)
    elif "scale_width" in steps:  # heights are those of the images, and checked as they are read
        _check_side(opt, "load_size", resized((opt.load_size, opt.load_size), opt)[0])


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
