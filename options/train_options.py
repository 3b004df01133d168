"""The options of 01_train.py."""

import argparse
from pathlib import Path

from models.networks import GAN_MODES, LR_POLICIES
from models.parts.diffaugment import AUGMENTATIONS
from util.evaluation import METRICS
from util.options import Options

from .base_options import BaseOptions, Parser, known_flags, option_defaults
from .reading_flags import add_augmentation_flags, add_reading_flags
from .recipes import RECIPES, log_recipe, recipes_text, with_recipe, without_recipe
from .training_run import complete_training, without_password

CONTINUE_HELP = (
    "resume the run exactly where training stopped; flags not given are those of the run"
)
INACTIVE = {"max_size": None, "output": None, "results_dir": None}
"""What inference alone decides, as code that both share reads it."""


class TrainOptions(BaseOptions):
    """The flags of training."""

    isTrain = True

    def initialize(self, parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add the flags of training to the shared ones; return the parser."""
        parser.add_argument(
            "--dataroot",
            required=True,
            help="folder with trainA, trainB, ... (or train, for aligned pairs); with "
            "--continue_train, when not given, that of the run",
        )
        super().initialize(parser)
        add_augmentation_flags(parser)
        add_reading_flags(parser)
        _add_schedule_flags(parser)
        _add_quality_flags(parser)
        _add_memory_flags(parser)
        _add_record_flags(parser)
        _add_evaluation_flags(parser)
        _add_dashboard_flags(parser)
        return parser

    def parser(self, argv: list[str]) -> Parser:
        """Return the parser; --continue_train needs no --dataroot, which the run has stored."""
        parser = super().parser(argv)
        if known_flags(parser, argv).continue_train:
            parser.set_required("dataroot", False)
        return parser

    def gather(self, argv: list[str]) -> Options:
        """Return the options of the command line, with those of --recipe."""
        return with_recipe(super().gather(argv))

    def kinds_of_run(self, typed: argparse.Namespace) -> dict[str, str]:
        """Return the model and the data set of the run that training continues, by their flags."""
        return self.stored_kinds(typed) if typed.continue_train else {}

    def finish(self, opt: Options) -> Options:
        """Return the options with `resume` and the folder of the cache filled in.

        `resume` says what training starts from: "weights" (of this or another run) or "" (nothing).
        `complete_training`, which looks at the disk, sets "state" where the run stored one.
        """
        opt = super().finish(opt)
        opt = opt.replace(**{**INACTIVE, **opt.values()})  # a plug-in may have a flag of that name
        return opt.replace(resume=_starts_from(opt))

    def follow(self, opt: Options) -> Options:
        """Return the options with the folder of the cache and visdom's environment filled in.

        Also with those of a recipe; where training starts from a run or weights, these decide.
        A password in the address of the dashboard is left out, so that nothing can store it.
        """
        opt = super().follow(opt)
        if not vars(opt).get("resume"):
            opt = with_recipe(opt)
        own = opt.cache_dir if "cache_dir" in opt.given else None
        env = opt.display_env if "display_env" in opt.given else opt.name
        cache_dir = own or str(Path(opt.checkpoints_dir) / "cache")
        server = without_password(opt.display_server)
        return opt.replace(cache_dir=cache_dir, display_env=env, display_server=server)

    def complete(self, opt: Options) -> Options:
        """Return the options, completed from the run that training resumes or starts from."""
        if opt.continue_train and opt.recipe:  # the run lacks flags that the recipe got since
            opt = without_recipe(opt, option_defaults(self, opt))
        opt = complete_training(opt.replace(resume=_starts_from(opt)))
        log_recipe(opt)
        return opt


def _starts_from(opt: Options) -> str:
    return "weights" if opt.continue_train or opt.start_from else ""


def _add_schedule_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("training").add_argument
    add("--phase", type=str, default="train", help="folders <phase>A and <phase>B, or <phase>")
    add("--continue_train", action="store_true", help=CONTINUE_HELP)
    add(
        "--start_from",
        type=str,
        default="",
        help="fine-tune from existing weights: a run, a folder or a file <epoch>_net_<X>.pth; "
        "networks without weights there are initialised",
    )
    add("--deterministic", action="store_true", help="deterministic kernels on a GPU, slower")
    add("--epoch_count", type=int, default=1, help="number of the first epoch")
    add("--n_epochs", type=int, default=100, help="epochs at the initial learning rate")
    add("--n_epochs_decay", type=int, default=100, help="epochs of decay towards zero after that")
    add("--beta1", type=float, default=0.5, help="beta1 of Adam (momentum)")
    add("--lr", type=float, default=0.0002, help="initial learning rate of Adam")
    add("--gan_mode", type=str, default="lsgan", choices=GAN_MODES, help="adversarial objective")
    add("--pool_size", type=int, default=50, help="generated images stored for the discriminators")
    add(
        "--lr_policy",
        type=str,
        default="linear",
        choices=LR_POLICIES,
        help="learning rate schedule",
    )
    add(
        "--lr_decay_iters",
        type=int,
        default=50,
        help="epochs between two drops of --lr_policy step",
    )


def _add_quality_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("better results (see docs/better_results.md)").add_argument
    add(
        "--recipe",
        type=str,
        default="",
        choices=tuple(RECIPES),
        help=f"a set of flags, of which a typed one has precedence. {recipes_text()}",
    )
    add(
        "--ema",
        type=float,
        default=0.0,
        help="decay of an exponential moving average of the weights of the generators, such as "
        "0.999, which is stored beside them and evaluated; 0: none",
        metavar="DECAY",
    )
    add(
        "--spectral_norm",
        action="store_true",
        help="spectral normalisation of the discriminators",
    )
    add(
        "--lambda_r1",
        type=float,
        default=0.0,
        help="weight of the R1 penalty, of the gradient of discriminators at real images; 0: none",
    )
    add(
        "--diffaugment",
        type=str,
        default="",
        help="augment what discriminators see, real and generated alike, for small data sets: "
        f"names of {','.join(AUGMENTATIONS)}, with commas between",
    )
    add("--lr_G", type=float, default=None, help="--lr of generators; when not given, --lr")
    add("--lr_D", type=float, default=None, help="--lr of discriminators; when not given, --lr")


def _add_memory_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("memory of training (see docs/performance.md)").add_argument
    add(
        "--grad_checkpoint",
        action="store_true",
        help="gradient checkpointing: recomputes activations in the backward pass; a third slower, "
        "for large crops",
    )
    add(
        "--accumulate",
        type=int,
        default=1,
        help="gradient accumulation over N batches: effective batch size N x batch_size in the "
        "memory of one batch",
        metavar="N",
    )
    add(
        "--separate_passes",
        action="store_true",
        help="one forward pass for each batch, even where batches of one network can share a pass "
        "with the same result",
    )


def _add_record_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what a run stores (frequencies in images)").add_argument
    add("--print_freq", type=int, default=100, help="frequency of printing and logging losses")
    add(
        "--update_html_freq",
        type=int,
        default=1000,
        help="frequency of adding images to the gallery",
    )
    add("--no_html", action="store_true", help="no gallery in <checkpoints_dir>/<name>/web")
    add("--save_latest_freq", type=int, default=5000, help="frequency of writing latest_net_*.pth")
    add("--save_epoch_freq", type=int, default=5, help="epochs between two checkpoints")
    add("--keep_last", type=int, default=0, help="number of epoch checkpoints to retain; 0: all")
    add("--save_by_iter", action="store_true", help="also write iter_<N>_net_*.pth with latest")


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
    add("--display_freq", type=int, default=400, help="frequency of showing images, in images")
    add("--display_ncols", type=int, default=4, help="images in a row; 0: one window per image")
    add("--display_id", type=int, default=1, help="id of the first window; 0 or less: no dashboard")
    add(
        "--display_server",
        type=str,
        default="http://localhost",
        help="address of the visdom server",
    )
    add(
        "--display_env",
        type=str,
        default="main",
        help="environment in visdom; when not given, one of its own, with the name of the run",
    )
    add("--display_port", type=int, default=8097, help="port of the visdom server")
    add(
        "--use_tensorboard",
        action="store_true",
        help="write event files for TensorBoard too (pip install tensorboard)",
    )
