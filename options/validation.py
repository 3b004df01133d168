"""The one place where combinations of options are checked."""

import math
from argparse import Namespace
from pathlib import Path

from data.transforms import PREPROCESS
from models.compute.compilation import CUDA_GRAPH_MODES
from models.parts.discriminators import patch_map_size
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
    *("num_threads", "pool_size", "n_epochs", "n_epochs_decay", "load_iter"),
    *("display_ncols", "keep_last", "tile"),
    *("lambda_A", "lambda_B", "lambda_identity", "lambda_L1"),
}
UNET_MULTIPLES = {"unet_128": 128, "unet_256": 256}


def validate(opt: Namespace) -> None:
    """Raise UsageError, naming flags, values and the remedy, where options do not go together."""
    _check_ranges(opt)
    if opt.model == "test" and opt.dataset_mode != "single":
        raise UsageError(
            f"--model test takes --dataset_mode single, not {opt.dataset_mode}; "
            "to translate with pairs or both ways use --model pix2pix or cycle_gan"
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
    if getattr(opt, "lambda_identity", 0) > 0 and opt.input_nc != opt.output_nc:
        raise UsageError(
            f"--lambda_identity {opt.lambda_identity:g} compares input and output, but --input_nc "
            f"{opt.input_nc} is not --output_nc {opt.output_nc}; use --lambda_identity 0"
        )


def _check_ranges(opt: Namespace) -> None:
    for name, value in vars(opt).items():
        if value is None:
            continue
        if name in POSITIVE and not value > 0:
            raise UsageError(f"--{name} {value}: must be above 0")
        if name in NOT_NEGATIVE and value < 0:
            raise UsageError(f"--{name} {value}: must not be negative")
        if isinstance(value, float) and math.isnan(value):
            raise UsageError(f"--{name} {value}: must be a number")
    if not 0 <= getattr(opt, "beta1", 0) < 1:
        raise UsageError(f"--beta1 {opt.beta1}: must be at least 0 and below 1")


def _check_inference(opt: Namespace) -> None:
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


def _check_output(opt: Namespace) -> None:
    source, output = Path(opt.dataroot).resolve(), Path(opt.output).resolve()
    if source.is_dir():
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


def _check_sizes(opt: Namespace) -> None:
    steps = PREPROCESS[opt.preprocess]
    if "crop" not in steps:
        return
    if ("resize" in steps or "scale_width" in steps) and opt.crop_size > opt.load_size:
        raise UsageError(
            f"--crop_size {opt.crop_size} is larger than --load_size {opt.load_size}; "
            f"give --load_size {round(opt.crop_size * 286 / 256)}, or at least {opt.crop_size}"
        )
    multiple = UNET_MULTIPLES.get(opt.netG, 4)
    if opt.crop_size % multiple:
        raise UsageError(
            f"--netG {opt.netG} takes sizes that are multiples of {multiple}, not --crop_size "
            f"{opt.crop_size}; the nearest is {max(1, round(opt.crop_size / multiple)) * multiple}"
        )
    layers = {"basic": 3, "n_layers": opt.n_layers_D}.get(opt.netD)
    if layers is not None and patch_map_size(opt.crop_size, layers) < 1:
        raise UsageError(
            f"--crop_size {opt.crop_size} is too small for --netD {opt.netD} with {layers} layers; "
            f"use at least {3 * 2**layers}, or fewer layers: --netD n_layers --n_layers_D"
        )
