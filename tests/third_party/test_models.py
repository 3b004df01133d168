"""Models that people wrote for the reference run as they are: trained, resumed, used."""

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from golden_figures import fill, image
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

import models
from models import networks
from models.compute.precision import PRECISIONS
from options.train_options import TrainOptions
from util.checkpoints.training_state import read_state
from util.errors import UsageError
from util.plugins import find_plugin
from util.run.session import run_program

FOLDER = str(Path(__file__).parent / "models")
FLAGS = [*TINY, "--print_freq", "1", "--display_freq", "2", "--num_threads", "0"]
FLAGS += ["--n_epochs", "1", "--n_epochs_decay", "1", "--save_latest_freq", "3", "--pool_size", "2"]


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the factories find the models of this folder as if they were copied into models/."""
    monkeypatch.setattr(models, "__path__", [*models.__path__, FOLDER])
    yield
    for name in [name for name in sys.modules if name.startswith("models.")]:
        if getattr(sys.modules[name], "__file__", "").startswith(FOLDER):
            del sys.modules[name]


@pytest.fixture
def program(pictures: Path) -> Callable[..., int]:
    """program("01_train", *words): the exit code of the program, with the data and runs of here."""

    def run(script: str, *words: str) -> int:
        runs = ["--checkpoints_dir", str(pictures.parent / "runs")]
        if script == "01_train":
            runs += ["--dataroot", str(pictures), *FLAGS]
        main = importlib.import_module(script).main

        def call() -> int:
            try:
                return main([*runs, *words])
            except SystemExit as error:  # of the parser
                return int(error.code or 0)

        return run_program(call)

    return run


def final_state(pictures: Path, name: str) -> dict[str, Any]:
    return read_state(pictures.parent / "runs" / name / "training_state.pth")


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def float64_model(name: str, *words: str) -> Any:
    opt = TrainOptions().parse(["--dataroot", "unused", *TINY, "--model", name, *words])
    torch.manual_seed(0)
    model = models.create_model(opt)
    for number, net in enumerate(model.model_names):
        fill(getattr(model, f"net{net}"), number).double()
    model.setup(opt)
    return model


@pytest.mark.parametrize(
    "words", [("--ema", "0.5"), ("--lambda_identity", "0"), ("--gan_mode", "vanilla")]
)
def test_its_losses_and_weights_are_those_of_the_built_in_model(words: tuple[str, ...]) -> None:
    both = [float64_model(name, *words) for name in ("cyclic", "cycle_gan")]
    for step in range(3):
        images = [image(10 * step + i, 1, 3, 32).double() for i in (0, 1)]
        batch = {"A": images[0], "B": images[1], "A_paths": ["a"], "B_paths": ["b"]}
        for model in both:
            model.set_input(batch)
            model.optimize_parameters()
        for name in both[0].loss_names:
            own, expected = (
                float(torch.as_tensor(getattr(m, f"loss_{name}")).detach()) for m in both
            )
            assert own == pytest.approx(expected, rel=1e-9, abs=1e-12), (step, name)
    for own, expected in zip(*(model.weights() for model in both), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("cyclic", ()),
        ("cyclic", ("--lr_policy", "plateau", "--report_metric", "--lambda_identity", "0")),
        ("cyclic", ("--precision", "bf16", "--grad_checkpoint")),
        ("tinted", ()),
    ],
)
def test_a_resumed_run_equals_one_that_never_stopped(
    program: Callable[..., int], pictures: Path, model: str, words: tuple[str, ...]
) -> None:
    words = ("--model", model, *words)
    assert program("01_train", "--name", "whole", *words) == 0
    train = importlib.import_module("01_train")
    with pytest.MonkeyPatch.context() as patch:
        stops = iter([0, 0, 0, 143])  # inside of the first epoch
        patch.setattr(
            train.StopRequest, "exit_code", property(lambda _: next(stops, 143)), raising=False
        )
        patch.setattr(train.StopRequest, "__init__", lambda self: None)
        patch.setattr(train.StopRequest, "__enter__", lambda self: self)
        patch.setattr(train.StopRequest, "__exit__", lambda *_: None)
        program("01_train", "--name", "parts", *words)
    assert final_state(pictures, "parts")["progress"]["epoch"] == 1
    assert program("01_train", "--name", "parts", "--continue_train", *words) == 0
    whole, parts = (final_state(pictures, name) for name in ("whole", "parts"))
    assert same(whole["model"], parts["model"])
    assert whole["model"]["pools"]
    if model == "tinted":
        assert "netD" in whole["model"]["networks"]
    gallery = pictures.parent / "runs" / "whole" / "web" / "images"
    assert (gallery / "epoch002_real_A.png").is_file()


def test_it_translates_what_it_has_learnt(
    program: Callable[..., int], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program("01_train", "--name", "run", "--model", "cyclic") == 0
    output = str(pictures.parent / "results")
    words = ("--name", "run", "--gpu_ids", "-1", "--results_dir", output)
    assert program("02_inference", *words, "--model", "cyclic") == 0
    source = ("--dataroot", str(pictures / "testA"))
    for model in ("test", "oneway"):
        to = ("--results_dir", f"{output}_{model}")
        suffix = ("--model_suffix", "_A")
        assert program("02_inference", *words, *to, *source, "--model", model, *suffix) == 0
    results = [
        Path(output) / "run" / "test_latest" / "images" / "testA_0_fake_B.png",
        *(
            Path(f"{output}_{m}") / "run" / "test_latest" / "images" / "testA_0_fake.png"
            for m in ("test", "oneway")
        ),
    ]
    pixels = [np.asarray(Image.open(path)).astype(int) for path in results]
    assert abs(pixels[1] - pixels[2]).max() <= 1
    assert pixels[0].shape[2] == 3


def test_visuals_may_be_arrays(program: Callable[..., int], pictures: Path) -> None:
    assert program("01_train", "--name", "run", "--model", "tinted") == 0
    output = pictures.parent / "results"
    words = ("--name", "run", "--gpu_ids", "-1", "--results_dir", str(output), "--model", "tinted")
    assert program("02_inference", *words) == 0
    folder = output / "run" / "test_latest" / "images"
    real = np.asarray(Image.open(folder / "testA_0_real_B_rgb.png")).astype(int)
    original = np.asarray(Image.open(pictures / "testB" / "testB_0.png").resize(real.shape[1::-1]))
    assert abs(real - original).mean() < 30
    assert program("02_inference", *words, "--batch_size", "2") in (0, 1)
    run = pictures.parent / "runs" / "run" / "web" / "images"
    assert (run / "epoch002_fake_B_rgb.png").is_file()


def test_a_network_that_the_model_calls_computes_in_half_precision(train_opt: Any) -> None:
    opt = train_opt("--model", "cyclic", "--precision", "bf16")
    model = models.create_model(opt)
    model.setup(opt)
    inside: list[torch.dtype] = []
    model.netG_A.model[1].register_forward_hook(lambda *args: inside.append(args[2].dtype))
    model.set_input(
        {"A": torch.zeros(1, 3, 32, 32), "B": torch.zeros(1, 3, 32, 32), "A_paths": ["a"]}
    )
    model.optimize_parameters()
    assert set(inside) == {PRECISIONS["bf16"].half}
    assert model.fake_B.dtype == torch.float32
    assert "netG_A" in vars(model)
    assert type(model.netG_A).__name__ == "ResnetGenerator"
    assert not any("_orig_mod" in key for key in model.netG_A.state_dict())


class Casts(TorchDispatchMode):
    """Counts how often each tensor is converted, by where it lies in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.of: Counter[int] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._to_copy.default:
            self.of[args[0].data_ptr()] += 1
        return func(*args, **(kwargs or {}))


def test_the_weights_of_a_network_that_the_model_calls_are_cast_once(train_opt: Any) -> None:
    model = models.create_model(train_opt("--model", "cyclic", "--precision", "bf16"))
    model.setup(model.opt)
    model.set_input(
        {"A": torch.rand(1, 3, 32, 32), "B": torch.rand(1, 3, 32, 32), "A_paths": ["a"]}
    )
    model.optimize_parameters()
    with Casts() as casts:
        model.optimize_parameters()
    for net in (model.netG_A, model.netD_A):
        kernels = [weight for weight in net.parameters() if weight.dim() == 4]
        of_weights = {casts.of[kernel.data_ptr()] for kernel in kernels}
        # three passes of a generator; a discriminator is called once without gradients, then twice
        assert of_weights == ({1} if net is model.netG_A else {2})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--accumulate", "2"), "--accumulate 2 scales losses"),
        (("--precision", "fp16"), "--precision fp16 scales losses"),
    ],
)
def test_what_it_cannot_have_is_refused_before_its_first_step(
    program: Callable[..., int],
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    assert program("01_train", "--name", "run", "--model", "cyclic", *words) == 2
    assert message in capsys.readouterr().err
    assert not (pictures.parent / "runs" / "run" / "train_opt.txt").exists()


def test_a_misspelt_name_is_found_at_the_first_step(program: Callable[..., int]) -> None:
    with pytest.raises(AttributeError, match="cycel_A"):
        program("01_train", "--name", "run", "--model", "cyclic", "--misspelt")


def test_the_metric_of_a_model_is_that_of_its_plateau(train_opt: Any) -> None:
    opt = train_opt("--model", "cyclic", "--lr_policy", "plateau")
    model = models.create_model(opt)
    model.setup(opt)
    seen: list[float] = []
    for scheduler in model.schedulers:
        scheduler.step = seen.append
    model.metric = torch.tensor(0.25)
    model.update_learning_rate()
    assert seen == [0.25, 0.25]


def test_a_loss_that_is_a_number_and_not_finite_ends_the_run(
    program: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    module = importlib.import_module("models.cyclic_model")
    step = module.CyclicModel.optimize_parameters

    def optimize(self: Any) -> None:
        step(self)
        self.loss_idt_A = float("nan")

    monkeypatch.setattr(module.CyclicModel, "optimize_parameters", optimize)
    assert program("01_train", "--name", "run", "--model", "cyclic") == 1
    assert "a loss is not finite at step 1" in capsys.readouterr().err


def test_gpu_ids_are_empty_where_no_gpu_computes(train_opt: Any) -> None:
    opt = train_opt("--model", "cyclic").replace(gpu_ids=[7], given=frozenset())
    model = models.create_model(opt)
    if model.device.type != "cuda":
        assert model.gpu_ids == model.opt.gpu_ids == []
    assert model.opt.device == model.device


OVERRIDES = [
    ("cycle_gan", "CycleGANModel", "backward_G", "generator_losses"),
    ("cycle_gan", "CycleGANModel", "backward_D_basic", "discriminator_losses"),
    ("cycle_gan", "CycleGANModel", "backward_D_A", "discriminator_losses"),
    ("cycle_gan", "CycleGANModel", "forward", "translate"),
    ("pix2pix", "Pix2PixModel", "backward_D", "discriminator_terms"),
    ("pix2pix", "Pix2PixModel", "backward_G", "generator_losses"),
    ("colorization", "ColorizationModel", "backward_G", "generator_losses"),
    ("colorization", "ColorizationModel", "lab2rgb", "compute_visuals"),
    ("template", "TemplateModel", "backward", "optimize_parameters"),
    ("base", "BaseModel", "initialize", "__init__"),
    ("cycle_gan", "CycleGANModel", "initialize", "__init__"),
]


def test_a_class_that_calls_initialize_itself_may_have_one() -> None:
    def make(self: Any, opt: Any) -> None:
        self.initialize(opt)

    made: list[Any] = []
    steps = {name: lambda self: None for name in models.BaseModel.__abstractmethods__}
    bridge = type("BridgeModel", (models.BaseModel,), {"__init__": make, **steps})
    mine = type("MineModel", (bridge,), {"initialize": lambda self, opt: made.append(opt)})
    mine("options")
    assert made == ["options"]
    mixin = type("Mixin", (), {"initialize": lambda self, opt: None})
    mixed = type("MixedModel", (mixin, models.BaseModel), {"__init__": lambda self, opt: None})
    assert mixed.initialize is mixin.initialize


@pytest.mark.parametrize(("file", "parent", "method", "instead"), OVERRIDES)
def test_a_subclass_that_overrides_what_nothing_calls_is_refused(
    file: str, parent: str, method: str, instead: str
) -> None:
    base = getattr(importlib.import_module(f"models.{file}_model"), parent)
    with pytest.raises(UsageError, match=f"overrides {method}.*override {instead} instead"):
        type("MineModel", (base,), {method: lambda self: None})
    type("MineModel", (base,), {method: lambda self: None, instead: lambda self: None})
    if method != "initialize":
        own = {"optimize_parameters": lambda self: None}
        stepping = type("SteppingModel", (base,), own)
        type("MineModel", (stepping,), {method: lambda self: None})


def test_the_refusal_is_one_line_of_the_program(
    program: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: Any,
) -> None:
    (tmp_path / "wrong_model.py").write_text(
        "from .cycle_gan_model import CycleGANModel\n"
        "class WrongModel(CycleGANModel):\n"
        "    def backward_G(self):\n"
        "        pass\n"
    )
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    assert program("01_train", "--name", "run", "--model", "wrong") == 2
    error = capsys.readouterr().err
    assert "override generator_losses instead" in error
    assert len(error.strip().splitlines()) == 1


def test_the_criteria_of_a_subclass_are_used(train_opt: Any) -> None:
    from models.cycle_gan_model import CycleGANModel

    class Squared(CycleGANModel):
        def __init__(self, opt: Any) -> None:
            super().__init__(opt)
            self.criterionCycle = torch.nn.MSELoss()
            self.criterionIdt = torch.nn.MSELoss()
            self.criterionGAN = lambda scores, real: scores.sum() * 0 + (3.0 if real else 5.0)

    model = Squared(train_opt())
    model.setup(model.opt)
    model.set_input(
        {"A": torch.zeros(1, 3, 32, 32), "B": torch.ones(1, 3, 32, 32), "A_paths": ["a"]}
    )
    model.optimize_parameters()
    cycle = torch.nn.functional.mse_loss(model.rec_A, model.real_A) * model.opt.lambda_A
    assert float(model.loss_cycle_A) == pytest.approx(float(cycle.detach()))
    assert float(model.loss_G_A) == 3
    assert float(model.loss_D_A) == 4


def test_find_plugin_finds_the_class_in_any_case() -> None:
    found = find_plugin(models, "oneway", "model", models.BaseModel, "--model")
    assert found.__name__ == "OneWayModel"
    assert networks.get_norm_layer("instance").func is torch.nn.InstanceNorm2d
