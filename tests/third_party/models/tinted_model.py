"""pix2pix as people wrote it for the reference, whose images are shown as NumPy arrays.

The discriminator is in no list, as in forks that save disk space.
"""

import os

import numpy as np
import torch

from models import networks
from models.base_model import BaseModel
from util.image_pool import ImagePool


class TintedModel(BaseModel):
    @staticmethod
    def modify_commandline_options(parser, is_train=True):
        parser.set_defaults(norm="batch", netG="resnet_6blocks", dataset_mode="unaligned")
        if is_train:
            parser.set_defaults(pool_size=0, gan_mode="vanilla")
            parser.add_argument("--lambda_L1", type=float, default=100.0, help="weight of L1")
        return parser

    def __init__(self, opt):
        super(TintedModel, self).__init__(opt)
        self.loss_names = ["G_GAN", "G_L1", "D", "gp"]
        self.visual_names = ["real_A", "real_B_rgb", "fake_B_rgb"]
        self.model_names = ["G"]
        self.netG = networks.ResnetGenerator(
            opt.input_nc, opt.output_nc, 4, norm_layer=torch.nn.BatchNorm2d, n_blocks=1
        )
        networks.init_net(self.netG, opt.init_type, opt.init_gain, self.gpu_ids)
        self.log_path = os.path.join(self.save_dir, "tinted_%s.txt" % opt.name)
        if self.isTrain:
            channels = opt.input_nc + opt.output_nc
            norm_layer = networks.get_norm_layer(norm_type="instance")
            self.netD = networks.NLayerDiscriminator(channels, 4, 2, norm_layer=norm_layer)
            self.netD = networks.init_net(self.netD)
            self.criterionGAN = networks.GANLoss(opt.gan_mode).to(self.device)
            self.criterionL1 = torch.nn.L1Loss()
            self.pools = [ImagePool(3)]
            self.optimizer_G = torch.optim.Adam(self.netG.parameters(), lr=opt.lr)
            self.optimizer_D = torch.optim.Adam(self.netD.parameters(), lr=opt.lr)
            self.optimizers = [self.optimizer_G, self.optimizer_D]

    def set_input(self, input):
        self.real_A = input["A"].to(self.device)
        self.real_B = input["B"].to(self.device)
        self.image_paths = input["A_paths"]

    def forward(self):
        self.fake_B = self.netG(self.real_A)

    def backward_D(self):
        real = torch.cat((self.real_A, self.real_B), 1)
        fake = self.pools[0].query(torch.cat((self.real_A, self.fake_B), 1))
        self.loss_D = self.criterionGAN(self.netD(fake.detach()), False)
        self.loss_D = (self.loss_D + self.criterionGAN(self.netD(real), True)) * 0.5
        self.loss_gp, gradients = networks.cal_gradient_penalty(
            self.netD, real, fake.detach(), self.device, lambda_gp=0.1
        )
        assert gradients.shape[0] == len(real)
        (self.loss_D + self.loss_gp).backward()

    def backward_G(self):
        pred_fake = self.netD(torch.cat((self.real_A, self.fake_B), 1))
        self.loss_G_GAN = self.criterionGAN(pred_fake, True)
        self.loss_G_L1 = self.criterionL1(self.fake_B, self.real_B) * self.opt.lambda_L1
        self.loss_G = self.loss_G_GAN + self.loss_G_L1
        self.loss_G.backward()

    def optimize_parameters(self):
        self.forward()
        self.set_requires_grad(self.netD, True)
        self.optimizer_D.zero_grad()
        self.backward_D()
        self.optimizer_D.step()
        self.set_requires_grad(self.netD, False)
        self.optimizer_G.zero_grad()
        self.backward_G()
        self.optimizer_G.step()

    def to_rgb(self, images):
        array = images[0].data.cpu().float().numpy()
        return (np.transpose(array, (1, 2, 0)) + 1) / 2 * 255

    def compute_visuals(self):
        self.real_B_rgb = self.to_rgb(self.real_B)
        self.fake_B_rgb = self.to_rgb(self.fake_B).astype(np.uint8)
