"""Options of 01_train.py."""

import argparse
from pathlib import Path

from models.networks import GAN_MODES, LR_POLICIES
from util.evaluation import METRICS
from util.frozen_options import Options

from .base_options import BaseOptions, Parser, known_flags

CONTINUE_HELP = "resume the run where it stopped; flags that are not given are those of the run"


class TrainOptions(BaseOptions):
    """The flags of training."""

    isTrain = True

    def initialize(self, parser: argparse.ArgumentParser) -> None:
        """Add the flags of training to those that are shared."""
        parser.add_argument(
            "--dataroot",
            required=True,
            help="folder with trainA, trainB, ... (or train, for aligned pairs); with "
            "--continue_train, when not given, that of the run",
        )
        super().initialize(parser)
        _add_reading_flags(parser)
        _add_schedule_flags(parser)
        _add_memory_flags(parser)
        _add_record_flags(parser)
        _add_evaluation_flags(parser)
        _add_dashboard_flags(parser)

    def parser(self, argv: list[str]) -> Parser:
        """As BaseOptions.parser; a run that is continued knows its data folder."""
        parser = super().parser(argv)
        if known_flags(parser, argv).continue_train:
            parser.set_required("dataroot", False)
        return parser

    def finish(self, opt: Options) -> Options:
        """The folder of the cache beside the runs, unless the command line names one.

        `resume` is what a run begins with: "weights" of a run, or "" where it begins afresh.
        `complete_training`, which looks at the disk, makes it "state" where there is one.
        """
        opt = super().finish(opt)
        opt = opt.replace(resume="weights" if opt.continue_train or opt.start_from else "")
        return opt.replace(cache_dir=opt.cache_dir or str(Path(opt.checkpoints_dir) / "cache"))


def _add_reading_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("reading (see docs/performance.md)").add_argument
    add(
        "--max_bad_images",
        type=float,
        default=0.01,
        help="share of the images of a folder that may be unreadable (0.01: 1 %%), rounded down "
        "but at least one image: each is named once, the next image takes its place; with more, "
        "what was trained is saved and the run ends; 0: it ends at the first",
    )
    add(
        "--full_decode",
        action="store_true",
        help="decode JPEG pictures in full and resize them exactly, though they are shrunk; else "
        "at a half or a quarter of their size where that is hard to tell apart",
    )
    add(
        "--cache",
        type=str,
        default="none",
        choices=("none", "ram", "disk"),
        help="keep pictures as they are after the resize, in memory or in a folder for later runs",
    )
    add(
        "--cache_gb",
        type=float,
        default=None,
        help="at most so many GB of them; when not given, half of what is free",
    )
    add(
        "--cache_dir",
        type=str,
        default=None,
        help="folder of --cache disk; when not given, <checkpoints_dir>/cache",
    )


def _add_schedule_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("training").add_argument
    add("--phase", type=str, default="train", help="which folders: <phase>A and <phase>B")
    add("--continue_train", action="store_true", help=CONTINUE_HELP)
    add(
        "--start_from",
        type=str,
        default="",
        help="begin with the weights of a run, a folder or a file <epoch>_net_<X>.pth; "
        "networks that it lacks start fresh",
    )
    add("--deterministic", action="store_true", help="the same numbers each time, at some cost")
    add("--epoch_count", type=int, default=1, help="number of the first epoch")
    add("--n_epochs", type=int, default=100, help="epochs at the full learning rate")
    add("--n_epochs_decay", type=int, default=100, help="epochs in which it falls towards zero")
    add("--beta1", type=float, default=0.5, help="momentum of Adam")
    add("--lr", type=float, default=0.0002, help="learning rate of Adam")
    add("--gan_mode", type=str, default="lsgan", choices=GAN_MODES, help="adversarial objective")
    add("--pool_size", type=int, default=50, help="generated images kept for the discriminators")
    add(
        "--lr_policy",
        type=str,
        default="linear",
        choices=LR_POLICIES,
        help="learning rate schedule",
    )
    add("--lr_decay_iters", type=int, default=50, help="epochs between two cuts of policy step")


def _add_memory_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("memory of training (see docs/performance.md)").add_argument
    add(
        "--grad_checkpoint",
        action="store_true",
        help="keep the inputs of networks only and compute the rest twice: a third slower, for "
        "large crops",
    )
    add(
        "--accumulate",
        type=int,
        default=1,
        help="batches to a step of the optimizers: as a batch so many times larger, in the memory "
        "of one",
    )
    add(
        "--separate_passes",
        action="store_true",
        help="compute each batch of pictures in a pass of its own, not together where that is the "
        "same",
    )


def _add_record_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what a run leaves (frequencies in pictures seen)").add_argument
    add("--print_freq", type=int, default=100, help="how often losses are printed and logged")
    add("--update_html_freq", type=int, default=1000, help="how often the gallery gets pictures")
    add("--no_html", action="store_true", help="no gallery in <checkpoints_dir>/<name>/web")
    add("--save_latest_freq", type=int, default=5000, help="how often latest_net_*.pth is written")
    add("--save_epoch_freq", type=int, default=5, help="epochs between two snapshots")
    add("--keep_last", type=int, default=0, help="epoch snapshots kept; 0: all")
    add("--save_by_iter", action="store_true", help="keep iter_<N>_net_*.pth, not latest alone")


def _add_evaluation_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("evaluation (see docs/evaluation.md)").add_argument
    add(
        "--eval_freq",
        type=int,
        default=0,
        help="epochs between two evaluations on the test or val folders; 0: none",
    )
    add(
        "--eval_metrics",
        type=str,
        default="kid,fid,cycle,identity,l1",
        help=f"what is measured, of {','.join(METRICS)}; the first decides which epoch is best",
    )
    add("--eval_max", type=int, default=100, help="evaluate at most so many images of each folder")
    add(
        "--eval_extractor",
        type=str,
        default="",
        help="network whose features are compared; when not given, inception where its weights "
        "are, else efficientnet-lite0",
    )
    add(
        "--patience",
        type=int,
        default=0,
        help="end the run after so many evaluations in which no direction improved; 0: never",
    )


def _add_dashboard_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("dashboard (see docs/dashboard.md)").add_argument
    add("--display_freq", type=int, default=400, help="how often pictures are shown")
    add("--display_ncols", type=int, default=4, help="pictures in a row; 0: a window for each")
    add("--display_id", type=int, default=1, help="number of the first window; 0 or less: off")
    add("--display_server", type=str, default="http://localhost", help="where visdom runs")
    add("--display_env", type=str, default="main", help="environment in visdom")
    add("--display_port", type=int, default=8097, help="port of visdom")
    add(
        "--use_tensorboard",
        action="store_true",
        help="write event files for TensorBoard too (pip install tensorboard)",
    )
