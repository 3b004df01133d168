"""The flags that training and inference share."""

import argparse
from collections.abc import Callable

import data
import models
from data.transforms import PREPROCESS
from models.compute.compilation import COMPILE_MODES
from models.compute.precision import PRECISIONS
from models.networks import DISCRIMINATORS, GENERATORS, INIT_TYPES, NORMS, UPSAMPLINGS
from util.devices import AUTO

GPU_HELP = (
    "GPU to compute on: 0, 1, ...; 0,1: on both, in a process for each; -1 is the CPU; "
    "when not given, GPU 0 where there is one, else an Apple GPU, else the CPU"
)
PRECISION_HELP = (
    "precision of convolutions. tf32: float32 with TensorFloat-32 products on NVIDIA Ampere or "
    "newer, elsewhere as fp32; bf16: bfloat16 by autocast, for NVIDIA Ampere or newer and for CPUs "
    "with AVX-512; fp16: float16 by autocast, for older GPUs; auto: bf16 "
    "where the device has units for it, else tf32, and where a run resumes, what it began with. "
    "Weights and losses are always float32"
)


def add_run_flags(parser: argparse.ArgumentParser, training: bool) -> None:
    """Add the flags of a run: its name, model, epoch and device."""
    names = ", ".join(models.model_names(training))
    group = parser.add_argument_group("run")
    add = group.add_argument
    add("--name", type=str, default="experiment_name", help="name of the run and its folders")
    add("--gpu_ids", type=str, default="0", help=GPU_HELP)
    add("--checkpoints_dir", type=str, default="./checkpoints", help="where runs are stored")
    add(
        "--model",
        type=str,
        default="cycle_gan",
        help=f"which model: {names}, or a file models/<name>_model.py",
    )
    add("--epoch", type=str, default="latest", help="epoch to load: latest, best, or a number")
    add(
        "--load_iter",
        type=int,
        default="0",
        help="if above 0, load iter_<load_iter> instead of --epoch",
    )
    add("--seed", type=int, default=None, help="seed of all random choices; when not given, drawn")
    add("--verbose", action="store_true", help="print the layers of each network")
    add(
        "--suffix",
        type=str,
        default="",
        help="appended to --name, with options filled in, e.g. {model}_{netG}_size{load_size}",
    )
    add("--display_winsize", type=int, default=256, help="width of images on pages, in pixels")
    add("--use_wandb", action="store_true", help="log to Weights & Biases too (pip install wandb)")
    add(
        "--wandb_project_name",
        type=str,
        default="CycleGAN-and-pix2pix",
        help="project on Weights & Biases",
    )


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the architecture of networks."""
    add = parser.add_argument_group("networks").add_argument
    channels = "3 RGB, 1 gray, others of NPY and TIFF files"
    add("--input_nc", type=int, default=3, help=f"channels of input images: {channels}")
    add("--output_nc", type=int, default=3, help=f"channels of output images: {channels}")
    add("--ngf", type=int, default=64, help="filters in the first layer of the generator")
    add("--ndf", type=int, default=64, help="filters in the first layer of the discriminator")
    add("--netD", type=str, default="basic", choices=DISCRIMINATORS, help="discriminator")
    add("--netG", type=str, default="resnet_9blocks", choices=tuple(GENERATORS), help="generator")
    add("--n_layers_D", type=int, default=3, help="layers of --netD n_layers")
    add("--norm", type=str, default="instance", choices=tuple(NORMS), help="normalisation")
    add(
        "--init_type",
        type=str,
        default="normal",
        choices=tuple(INIT_TYPES),
        help="initialisation of the weights",
    )
    add(
        "--init_gain",
        type=float,
        default=0.02,
        help="scale of --init_type normal, xavier and orthogonal",
    )
    add(
        "--upsample",
        type=str,
        default="transposed",
        choices=UPSAMPLINGS,
        help="how the generator doubles sizes: by transposed convolutions, or by repeating pixels "
        "before a convolution, against checkerboards",
    )
    add(
        "--skip_connections",
        action="store_true",
        help="residual generators: add what the encoder makes to what the decoder makes, for "
        "sharper results; U-Nets have such connections anyway",
    )
    add("--no_dropout", action="store_true", help="no dropout in the generator")


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of data sets, loading and preprocessing."""
    add = parser.add_argument_group("data").add_argument
    add(
        "--dataset_mode",
        type=str,
        default="unaligned",
        help=f"data set: {', '.join(data.dataset_names())}, or a file data/<name>_dataset.py",
    )
    add(
        "--direction",
        type=str,
        default="AtoB",
        choices=("AtoB", "BtoA"),
        help="direction of translation; BtoA swaps the two domains",
    )
    add("--serial_batches", action="store_true", help="take images in order instead of randomly")
    workers = "worker processes that load images; 0: the main process"
    add("--num_threads", type=int, default=4, help=workers)
    add("--batch_size", type=int, default=1, help="images per batch")
    add("--load_size", type=int, default=286, help="size that images are resized to, in pixels")
    add("--crop_size", type=int, default=256, help="size of the crop after that, in pixels")
    add(
        "--max_dataset_size",
        type=int,
        default=float("inf"),
        help="maximum number of images used of a folder",
    )
    add(
        "--preprocess",
        type=str,
        default="resize_and_crop",
        choices=tuple(PREPROCESS),
        help="resizing and cropping of images as they are loaded (keep: for inference only)",
    )
    add("--no_flip", action="store_true", help="do not flip images randomly")
    _add_flags_of_pixels(add)


def _add_flags_of_pixels(add: Callable[..., object]) -> None:
    add(
        "--value_range",
        type=str,
        default="",
        help="values of black and white in images of more than 8 bits: 0,65535 or the like, or "
        "auto: the least and the greatest of each file; when not given, by the type of the pixels: "
        "0,65535 for integers, 0,1 for floating point",
    )
    add("--background", type=str, default="black", help="colour behind transparent pixels")


def add_speed_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of precision and compilation."""
    group = parser.add_argument_group("speed (see docs/performance.md)")
    group.add_argument(
        "--precision",
        type=str,
        default="tf32",
        choices=(*PRECISIONS, AUTO),
        help=PRECISION_HELP,
    )
    add_compile_flag(group)


def add_compile_flag(parser: argparse._ActionsContainer) -> None:
    """Add `--compile [MODE]`, off by default."""
    parser.add_argument(
        "--compile",
        nargs="?",
        const="default",
        default="off",
        choices=COMPILE_MODES,
        help="compile the networks with torch.compile, which takes a minute: in training at the "
        "first step, in inference once five minutes of work are left without it. reduce-overhead: "
        "CUDA graphs, for small networks; max-autotune: benchmark kernels for some minutes",
    )
