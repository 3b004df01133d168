"""A model in a third party's manner: its own optimizer steps, and no line about processes."""

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
        self.optimizer = torch.optim.SGD(self.netG.parameters(), lr=opt.lr, momentum=0.9)
        self.optimizers.append(self.optimizer)

    def set_input(self, input):
        self.real_A, self.real_B = self.unpack_pair(input)

    def forward(self):
        self.fake_B = self.netG(self.real_A)

    def optimize_parameters(self):
        self.forward()
        self.optimizer.zero_grad()
        self.loss_L1 = (self.fake_B - self.real_B).abs().mean()
        self.loss_pooled = self.pool.query(self.fake_B).pow(2).mean()
        self.loss_L1.backward()
        self.optimizer.step()
