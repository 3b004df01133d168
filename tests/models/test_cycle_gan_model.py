"""CycleGANModel: the weights of its losses, direction, names, the protocol of plug-ins."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden_figures import image
from rounding import assert_near, tolerance

from models import create_model, find_model_using_name, get_option_setter, model_names
from models.base_model import BaseModel
from models.cycle_gan_model import CycleGANModel
from util.checkpoints.weights import read_weights
from util.errors import UsageError, UserError
from util.options import Options

Make = Callable[..., Options]
NAMES = ["D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B"]


def batch(seed: int = 0, size: int = 32) -> dict[str, Any]:
    images = {"A": image(seed, 1, 3, size), "B": image(seed + 1, 1, 3, size)}
    return {**images, "A_paths": ["a.png"], "B_paths": ["b.png"]}


def model_after_step(opt: Options) -> Any:
    torch.manual_seed(0)
    model = create_model(opt)
    model.setup(opt)
    model.set_input(batch())
    model.optimize_parameters()
    return model


def test_the_eight_losses_and_the_images_are_in_order(train_opt: Make) -> None:
    model = model_after_step(train_opt())
    model.check_declared_names()
    assert list(model.get_current_losses()) == NAMES
    assert list(model.get_current_visuals()) == (
        ["real_A", "fake_B", "rec_A", "idt_B", "real_B", "fake_A", "rec_B", "idt_A"]
    )
    assert all(value > 0 for value in model.get_current_losses().values())
    assert model.get_image_paths() == ["a.png"]


@pytest.mark.parametrize(
    ("flag", "scaled"),
    [
        ("--lambda_A", {"cycle_A": 3, "idt_B": 3}),
        ("--lambda_B", {"cycle_B": 3, "idt_A": 3}),
        ("--lambda_identity", {"idt_A": 3, "idt_B": 3}),
        ("--lambda_GAN", {"G_A": 3, "G_B": 3}),
    ],
)
def test_each_lambda_scales_its_losses_and_no_other(
    flag: str, scaled: dict[str, float], train_opt: Make
) -> None:
    default = {"--lambda_A": 10, "--lambda_B": 10, "--lambda_identity": 0.5, "--lambda_GAN": 1}[
        flag
    ]
    plain = model_after_step(train_opt()).get_current_losses()
    changed = model_after_step(train_opt(flag, str(3 * default))).get_current_losses()
    for name in NAMES:
        if name.startswith("D_"):  # the discriminators step after the generators have changed
            continue
        assert changed[name] == pytest.approx(scaled.get(name, 1) * plain[name], rel=tolerance())


def test_losses_are_their_formulas(train_opt: Make) -> None:
    opt = train_opt("--lambda_A", "3", "--lambda_B", "5", "--lambda_identity", "0.25")
    model = create_model(opt)
    assert isinstance(model, CycleGANModel)
    model.set_input(batch())
    i = model.translate(model.real_A, model.real_B)
    losses = model.generator_losses(i)
    assert i.idt_A is not None
    assert i.idt_B is not None
    expected = {
        "G_A": (model.netD_A(i.fake_B) - 1).square().mean(),
        "G_B": (model.netD_B(i.fake_A) - 1).square().mean(),
        "cycle_A": 3 * (i.rec_A - i.real_A).abs().mean(),
        "cycle_B": 5 * (i.rec_B - i.real_B).abs().mean(),
        "idt_A": 0.25 * 5 * (i.idt_A - i.real_B).abs().mean(),
        "idt_B": 0.25 * 3 * (i.idt_B - i.real_A).abs().mean(),
    }
    for name, value in expected.items():
        assert_near(losses[name], value)
    for name, net, real, fake in (
        ("D_A", model.netD_A, i.real_B, i.fake_B),
        ("D_B", model.netD_B, i.real_A, i.fake_A),
    ):
        half_sum = 0.5 * ((net(real) - 1).square().mean() + net(fake).square().mean())
        assert_near(model.discriminator_losses(i)[name], half_sum)


def test_without_identity_loss_its_images_are_absent_and_its_values_zero(train_opt: Make) -> None:
    model = model_after_step(train_opt("--lambda_identity", "0"))
    losses = model.get_current_losses()
    assert (losses["idt_A"], losses["idt_B"]) == (0, 0)
    assert "idt_A" not in model.get_current_visuals()


@pytest.mark.parametrize("words", [("--output_nc", "1"), ("--input_nc", "1")])
def test_the_identity_loss_is_refused_where_input_and_output_differ_in_channels(
    words: tuple[str, str], train_opt: Make
) -> None:
    with pytest.raises(UsageError, match=r"--lambda_identity 0\.5 .*; use --lambda_identity 0$"):
        create_model(train_opt(*words))
    create_model(train_opt(*words, "--lambda_identity", "0"))


def test_BtoA_swaps_the_domains(train_opt: Make) -> None:
    model = create_model(train_opt("--direction", "BtoA"))
    data = batch()
    model.set_input(data)
    assert torch.equal(model.real_A, data["B"])
    assert model.get_image_paths() == ["b.png"]


def test_a_step_changes_generators_and_discriminators_which_stay_trainable(
    train_opt: Make,
) -> None:
    opt = train_opt()
    torch.manual_seed(0)
    model = create_model(opt)
    model.setup(opt)
    before = {
        n: [p.clone() for p in getattr(model, f"net{n}").parameters()] for n in model.model_names
    }
    model.set_input(batch())
    model.optimize_parameters()
    for name, old in before.items():
        now = list(getattr(model, f"net{name}").parameters())
        assert any(not torch.equal(a, b) for a, b in zip(old, now, strict=True)), name
        assert all(p.requires_grad for p in now)


@pytest.mark.parametrize("mode", ["lsgan", "vanilla", "wgangp", "hinge"])
@pytest.mark.parametrize("model_name", ["cycle_gan", "pix2pix"])
def test_every_gan_mode_trains(mode: str, model_name: str, train_opt: Make) -> None:
    opt = train_opt("--model", model_name, "--gan_mode", mode, "--norm", "instance")
    model = model_after_step(opt)
    assert all(torch.tensor(value).isfinite() for value in model.get_current_losses().values())


def test_the_plateau_policy_is_fed_the_mean_objective_of_the_epoch(train_opt: Make) -> None:
    opt = train_opt("--lr_policy", "plateau")
    model = create_model(opt)
    model.setup(opt)
    objectives = []
    for step in range(3):
        model.set_input(batch(step))
        model.optimize_parameters()
        losses = model.get_current_losses()
        objectives.append(sum(v for name, v in losses.items() if not name.startswith("D_")))
    metrics = []
    for scheduler in model.schedulers:
        scheduler.step = metrics.append
    model.update_learning_rate()
    assert metrics == pytest.approx([sum(objectives) / 3] * 2, rel=1e-5)


class PluginModel(BaseModel):
    """A plug-in that only fills the lists and sets what they name."""

    def __init__(self, opt: Namespace) -> None:
        super().__init__(opt)
        self.loss_names, self.model_names, self.visual_names = ["x"], ["X"], ["y"]
        self.netX = torch.nn.Linear(2, 1)
        self.optimizers = [torch.optim.SGD(self.netX.parameters(), lr=0.1)]

    def set_input(self, input: dict[str, Any]) -> None:
        self.input = input["A"]

    def forward(self) -> None:
        self.y = self.netX(self.input)

    def optimize_parameters(self) -> None:
        self.forward()
        self.loss_x = self.y.square().mean()
        self.loss_x.backward()
        self.optimizers[0].step()


def test_a_plugin_that_only_fills_the_three_lists_works(train_opt: Make) -> None:
    opt = train_opt("--save_epoch_freq", "1")
    model = PluginModel(opt)
    model.setup(opt)
    model.set_input({"A": torch.ones(3, 2)})
    model.optimize_parameters()
    model.check_declared_names()
    assert list(model.get_current_losses()) == ["x"]
    assert model.get_current_visuals()["y"].shape == (3, 1)
    model.update_learning_rate()
    model.save_networks("latest")
    old = model.netX.weight.clone()
    torch.nn.init.zeros_(model.netX.weight)
    model.load_networks("latest")
    assert torch.equal(model.netX.weight, old)


def test_the_files_of_weights_are_a_part_of_the_state(train_opt: Make) -> None:
    model = PluginModel(train_opt())
    model.save_networks("1")
    weights = model.weights_in(model.training_state())
    assert weights is not None and list(weights) == ["X"]
    model.write_weights("2", weights)
    one, other = (read_weights(model.save_dir / f"{epoch}_net_X.pth") for epoch in (1, 2))
    assert one.keys() == other.keys() == model.netX.state_dict().keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_plugin_that_writes_files_of_its_own_is_called_for_them(train_opt: Make) -> None:
    class Writes(PluginModel):
        def save_networks(self, epoch: int | str) -> None:
            super().save_networks(f"own_{epoch}")

    model = Writes(train_opt())
    assert model.weights_in(model.training_state()) is None


def test_a_misspelt_name_fails_at_once_naming_it(train_opt: Make) -> None:
    model = model_after_step(train_opt())
    model.loss_names = [*NAMES, "cycel_A"]
    with pytest.raises(AttributeError, match=r"loss_names names 'cycel_A'.*self\.loss_cycel_A"):
        model.check_declared_names()


def test_missing_weights_are_an_error_that_lists_the_files_of_the_folder(train_opt: Make) -> None:
    model = model_after_step(train_opt())
    model.save_networks(5)
    with pytest.raises(UserError, match=r"no 6_net_G_A\.pth; .*holds: 5_net_D_A\.pth"):
        model.load_networks(6)


def test_factories_find_every_model_by_its_name() -> None:
    names = ["colorization", "cut", "cycle_gan", "pix2pix", "template", "test"]
    assert model_names() == names
    for name in names:
        model_class = find_model_using_name(name)
        assert model_class.__name__.lower() == name.replace("_", "") + "model"
        assert get_option_setter(name) is model_class.modify_commandline_options


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"did you mean cycle_gan\?.*pix2pix"):
        find_model_using_name("cyclegan")
