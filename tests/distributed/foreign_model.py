"""A model in a third party's manner: its own optimizer steps, and no line about processes."""

import os

import torch

from models.base_model import BaseModel
from models.networks import define_G
from util.image_pool import ImagePool


class ForeignModel(BaseModel):
    """Regression of B on A, with a layer that is never used, and a pool."""

    def __init__(self, opt):
        BaseModel.__init__(self, opt)
        self.loss_names = ["L1", "pooled"]
        self.model_names = ["G"]
        self.visual_names = ["fake_B"]
        self.netG = define_G(3, 3, opt.ngf, opt.netG, opt.norm, not opt.no_dropout)
        self.netG.unused = torch.nn.Linear(2, 2)
        self.pool = ImagePool(opt.pool_size)
        if os.environ.get("FOREIGN_SCALER") == "fused":  # which the scaler steps in any case
            self.optimizer = torch.optim.Adam(self.netG.parameters(), lr=opt.lr, fused=True)
        else:
            self.optimizer = torch.optim.SGD(self.netG.parameters(), lr=opt.lr, momentum=0.9)
        self.optimizers.append(self.optimizer)
        self.scaler = None
        if "FOREIGN_SCALER" in os.environ:
            self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)

    def set_input(self, input):
        self.real_A, self.real_B = self.unpack_pair(input)

    def forward(self):
        self.fake_B = self.netG(self.real_A)

    def optimize_parameters(self):
        self.forward()
        self.optimizer.zero_grad()
        self.loss_L1 = (self.fake_B - self.real_B).abs().mean()
        self.loss_pooled = self.pool.query(self.fake_B).pow(2).mean()
        if self.scaler is None:
            self.loss_L1.backward()
            self.optimizer.step()
        else:
            self.scaled_step()

    def scaled_step(self):
        """Step as mixed precision does, where the gradients of one image overflow."""
        overflows = torch.tensor(["trainA_2" in path for path in self.image_paths])
        factors = torch.where(overflows, torch.inf, 1.0).view(-1, 1, 1, 1)
        self.fake_B.register_hook(lambda gradient: gradient * factors)
        self.scaler.scale(self.loss_L1).backward()
        if os.environ["FOREIGN_SCALER"] == "clip":
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.netG.parameters(), 0.1)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.loss_pooled = self.loss_pooled.detach() + self.scaler.get_scale()
