"""One generator of a trained run, applied to single images."""

from argparse import ArgumentParser, Namespace
from typing import Any

from torch import Tensor

from util.errors import UsageError

from .base_model import BaseModel


class TestModel(BaseModel):
    """Translates one way with `<epoch>_net_G<model_suffix>.pth`; images `real` and `fake`."""

    __test__ = False  # the field's name, not a test case

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Set single images as the default data set and add the flag that chooses the generator."""
        if is_train:
            raise UsageError("--model test only translates: use it with 02_inference.py")
        parser.set_defaults(dataset_mode="single")
        parser.add_argument(
            "--model_suffix",
            type=str,
            default="",
            help="loads <epoch>_net_G<model_suffix>.pth: _A, _B; _B180 is latest_net_G_B180.pth "
            "or else 180_net_G_B.pth",
        )
        return parser

    def __init__(self, opt: Namespace) -> None:
        if opt.isTrain:
            raise UsageError("--model test only translates: use it with 02_inference.py")
        super().__init__(opt)
        self.visual_names = ["real", "fake"]
        self.model_names = [f"G{opt.model_suffix}"]
        self.netG = self.make_generator(opt.input_nc, opt.output_nc)
        setattr(self, f"net{self.model_names[0]}", self.netG)

    def set_input(self, input: dict[str, Any]) -> None:
        """Store images `A` (N, C, H, W) and their paths."""
        self.real: Tensor = self.to_device(input["A"])
        self.image_paths = input["A_paths"]

    def forward(self) -> None:
        """Compute fake = G(real)."""
        self.fake: Tensor = self.netG(self.real)

    def optimize_parameters(self) -> None:
        """Raise NotImplementedError: this model does not train."""
        raise NotImplementedError("--model test does not train")
