"""A model to copy: `--model template` learns A -> B from pairs, by regression alone.

Copy this file to `models/<name>_model.py`, rename the class to match (`foo_bar` is
`FooBarModel`), and `--model <name>` finds it.
"""

from argparse import ArgumentParser, Namespace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from .base_model import BaseModel


class TemplateModel(BaseModel):
    """A generator trained with lambda |G(A) - B|_1."""

    # of the reference: a subclass that overrides it is refused; a copy needs no such line
    replaced_methods = {"backward": "optimize_parameters"}
    generators = ("G",)  # made by `make_generator`: weight files tell its architecture

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add flags and change defaults of existing ones."""
        parser.set_defaults(dataset_mode="aligned")
        if is_train:
            parser.add_argument(
                "--lambda_regression", type=float, default=1.0, help="weight of the regression loss"
            )
        return parser

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        # these names declare `self.loss_G`, `self.data_A`, ..., and `self.netG`
        self.loss_names = ["G"]
        self.visual_names = ["data_A", "data_B", "output"]
        self.model_names = ["G"]
        self.netG = self.make_generator(opt.input_nc, opt.output_nc)
        if self.isTrain:
            self.optimizer = self.make_optimizer(self.netG, lr=opt.lr_G)

    def set_input(self, input: dict[str, Any]) -> None:
        """Store images `A`, `B` (N, C, H, W) and their paths; --direction BtoA swaps them."""
        self.data_A, self.data_B = self.unpack_pair(input)

    def forward(self) -> None:
        """Compute output = G(data_A)."""
        (output,) = self.apply(self.netG, self.data_A)
        self.output: Tensor = output

    def optimize_parameters(self) -> None:
        """Step the generator."""
        self.forward()
        regression = self.opt.lambda_regression * F.l1_loss(self.output, self.data_B)
        self.minimize(self.optimizer, {"G": regression})
        self.store_results({}, {"G": regression})
        self.observe(regression)
