"""Colorization as pix2pix: from lightness L to the colours ab of CIE Lab (arXiv 1611.07004).

Legend: real_A is (N, 1, H, W), L / 50 - 1; real_B and fake_B are (N, 2, H, W), ab / 110.
"""

from argparse import ArgumentParser, Namespace

from torch import Tensor

from util.lab import lab_to_rgb

from .pix2pix_model import Pix2PixModel


class ColorizationModel(Pix2PixModel):
    """pix2pix on Lab images, shown in RGB."""

    replaced_methods = {"lab2rgb": "compute_visuals"}

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Set the defaults of pix2pix and the colorization data set."""
        Pix2PixModel.modify_commandline_options(parser, is_train)
        parser.set_defaults(dataset_mode="colorization")
        return parser

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.visual_names = ["real_A", "real_B_rgb", "fake_B_rgb"]

    def compute_visuals(self) -> None:
        """Convert the true and the generated colours to RGB, (N, 3, H, W) in [-1, 1]."""
        self.real_B_rgb: Tensor = lab_to_rgb(self.real_A, self.real_B)
        self.fake_B_rgb: Tensor = lab_to_rgb(self.real_A, self.fake_B.detach())
