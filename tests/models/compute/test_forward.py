"""The options of forward passes do not change the results of a step."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden_figures import image
from rounding import assert_near
from tiny_runs import WritesOver
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.utils._python_dispatch import TorchDispatchMode

from models import create_model
from models.compute.forward import (
    ForwardPass,
    batch_norm_statistics_frozen,
    processes_images_independently,
)
from models.networks import define_D, define_G
from models.parts import layers
from models.parts.layers import ReflectionPad2d, SyncBatchNorm
from util.errors import UserError
from util.options import Options
from util.run.health import Health
from util.run.progress import Progress
from util.sinks.samples import translate_samples

Make = Callable[..., Options]
CPU = torch.device("cpu")
BACKWARD = "convolution_backward"


class Calls(TorchDispatchMode):
    """A context that counts the operations that PyTorch dispatches."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().split("::")[1].split(".")[0]
        self.count[name] = self.count.get(name, 0) + 1
        return func(*args, **(kwargs or {}))


def batch_of(number: int, first: int = 0) -> dict[str, Any]:
    images = {"A": image(first, number, 3, 32), "B": image(first + 1, number, 3, 32)}
    return {**images, "A_paths": ["a.png"] * number, "B_paths": ["b.png"] * number}


def doubles(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "A": data["A"].double(), "B": data["B"].double()}


def model_of(opt: Options) -> Any:
    torch.manual_seed(0)
    model = create_model(opt)
    model.setup(opt)
    return model


def operations(opt: Options) -> dict[str, int]:
    """Return the operations of the second step by name."""
    model = model_of(opt)
    for _ in range(2):
        model.set_input(batch_of(1))
        with Calls() as calls:
            model.optimize_parameters()
    return calls.count


@pytest.mark.parametrize(
    ("norm", "dropout", "expected"),
    [
        ("instance", False, True),
        ("none", False, True),
        ("batch", False, False),
        ("instance", True, False),
    ],
)
def test_which_networks_process_images_independently(
    norm: str, dropout: bool, expected: bool
) -> None:
    net = define_G(3, 3, 4, "resnet_6blocks", norm, dropout)
    assert processes_images_independently(net) is expected
    assert processes_images_independently(net.eval())  # batch norm by its statistics, no dropout


def test_fused_passes_need_fewer_operations(train_opt: Make) -> None:
    separate = operations(train_opt("--separate_passes"))
    fused = operations(train_opt())
    assert fused[BACKWARD] < 0.7 * separate[BACKWARD]  # 4 of 6 generator passes, 4 of 6 of D
    assert sum(fused.values()) <= 0.75 * sum(separate.values())


def test_images_of_two_sizes_go_separately(train_opt: Make) -> None:
    forward_pass = ForwardPass(train_opt(), CPU)
    net = define_D(3, 4, "basic", norm="instance")
    small, large = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 48, 32)
    first, second = forward_pass.apply(net, small, large)
    assert torch.equal(first, net(small))
    assert torch.equal(second, net(large))


def test_a_step_never_synchronises_with_the_device(train_opt: Make) -> None:
    """Reading a value (`item`, `float`, `tolist`) would."""
    opt = train_opt()
    model, health = model_of(opt), Health(opt)
    progress = Progress(opt, [batch_of(1)])  # type: ignore[arg-type]
    health.check = lambda losses: None  # type: ignore[method-assign] # on the CPU it reads at once
    with Calls() as calls:
        for _ in range(2):
            model.set_input(batch_of(1))
            model.optimize_parameters()
            health.watch(model.current_loss_tensors(), batch_of(1), progress)
    assert "_fused_adam_" in calls.count
    assert not {"_local_scalar_dense", "is_nonzero", "equal"} & calls.count.keys()


def bytes_of_activations(opt: Options) -> int:
    """Return the bytes of activations that are stored for the backward pass of a step."""
    stored: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        stored[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    model = model_of(opt)
    weights = {w.untyped_storage().data_ptr() for w in model.weights()}
    model.set_input(batch_of(1))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        images = model.translate(model.real_A, model.real_B)
    assert images.fake_B.requires_grad
    return sum(size for address, size in stored.items() if address not in weights)


def test_checkpointing_stores_the_inputs_of_networks_only(train_opt: Make) -> None:
    without = bytes_of_activations(train_opt())
    assert bytes_of_activations(train_opt("--grad_checkpoint")) < 0.1 * without


def assert_same_weights(one: Any, other: Any, bound: float) -> None:
    """Compare convolutions by the mean; biases before instance norm have no gradient."""
    for a, b in zip(one.weights(), other.weights(), strict=True):
        if a.dim() == 4:
            assert float((a - b).detach().abs().mean()) < bound


Gradients = list[list[Tensor]]


def gradients_of_steps(model: Any) -> Gradients:
    """Return a list to which later steps of the optimizers append their gradients.

    Learning rates become 0. Updates of Adam say little about gradients: it moves a weight by the
    learning rate in the direction of a gradient however small, even of a rounding error.
    """
    gradients: Gradients = []

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        gradients.append([weight.grad.clone() for weight in weights if weight.dim() == 4])

    for optimizer in model.optimizers:
        optimizer.register_step_pre_hook(note)
        for group in optimizer.param_groups:
            group["lr"] = 0.0
    return gradients


def assert_same_gradients(one: Gradients, other: Gradients, dtype: torch.dtype) -> None:
    """Compare the gradients of each convolution, by their norm, within 100 epsilons.

    There are some 40 roundings up to a loss and back. A batch of three that is left out or counted
    twice would be a difference of a third.
    """
    assert len(one) == len(other) > 0
    for step, like in zip(one, other, strict=True):
        for a, b in zip(step, like, strict=True):
            assert float((a - b).norm()) <= 100 * torch.finfo(dtype).eps * float(b.norm())


@pytest.mark.parametrize(
    ("precision", "dtype"), [("tf32", torch.float32), ("fp16", torch.float16)], ids=str
)
def test_accumulated_batches_are_one_large_batch(
    train_opt: Make, precision: str, dtype: torch.dtype
) -> None:
    flags = ["--pool_size", "0", "--precision", precision]
    at_once = model_of(train_opt(*flags, "--batch_size", "3"))
    separate = model_of(train_opt(*flags, "--accumulate", "3"))
    expected, accumulated = gradients_of_steps(at_once), gradients_of_steps(separate)
    parts = [batch_of(1, first=2 * number) for number in range(3)]
    whole = {key: torch.cat([part[key] for part in parts]) for key in ("A", "B")}
    for _ in range(2):
        at_once.set_input({**batch_of(3), **whole})
        at_once.optimize_parameters()
        for part in parts:
            separate.set_input(part)
            separate.optimize_parameters()
    assert len(expected) == 2 * 2  # of the generators and of the discriminators
    assert_same_gradients(accumulated, expected, dtype)


def test_pending_gradients_at_the_end_of_an_epoch_are_a_step_too(train_opt: Make) -> None:
    flags = ["--pool_size", "0", "--accumulate"]
    window, plain = model_of(train_opt(*flags, "3")), model_of(train_opt(*flags, "1"))
    pending, expected = gradients_of_steps(window), gradients_of_steps(plain)
    for model in (window, plain):
        model.set_input(batch_of(1))
        model.optimize_parameters()
    assert pending == []
    window.update_learning_rate()
    assert_same_gradients(pending, expected, torch.float32)


def test_batch_norm_counts_a_checkpointed_batch_once(train_opt: Make) -> None:
    states = []
    for words in ([], ["--grad_checkpoint"]):
        model = model_of(train_opt("--norm", "batch", *words))
        model.set_input(batch_of(2))
        model.optimize_parameters()
        states.append(model.netG_A.state_dict())
    assert states[0].keys() == states[1].keys()
    running = [key for key in states[0] if "running" in key]
    assert running
    for key in running:
        assert_near(states[1][key], states[0][key])
    counts = [value for key, value in states[1].items() if key.endswith("num_batches_tracked")]
    assert all(int(count) == 3 for count in counts)  # real_A, fake_A, real_B for the identity


def test_the_keys_of_a_compiled_network_stay(train_opt: Make, monkeypatch: Any) -> None:
    requests: list[dict[str, Any]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: requests.append(how))
    model = model_of(train_opt("--compile", "reduce-overhead"))
    assert requests == 4 * [{"mode": "reduce-overhead", "dynamic": False}]
    assert not any("_orig_mod" in key for key in model.netG_A.state_dict())
    assert model.netG_A.model[1].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_outputs_outlive_the_next_call_of_a_cuda_graph(train_opt: Make, precision: str) -> None:
    opt = train_opt("--compile", "reduce-overhead", "--precision", precision)
    forward_pass = ForwardPass(opt, CPU)
    net = WritesOver()
    (first,) = forward_pass.apply(net, torch.ones(1, 3, 8, 8))
    forward_pass.apply(net, torch.zeros(1, 3, 8, 8))
    assert first.eq(1).all()


@pytest.mark.parametrize("own", [True, False], ids=["", "not by PyTorch"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_padding_does_not_change_the_type_under_autocast(
    dtype: torch.dtype, own: bool, monkeypatch: Any
) -> None:
    if not own:  # as before PyTorch could pad float16 on the CPU
        monkeypatch.setattr(layers, "pads_well", lambda: False)
    x = torch.rand(1, 2, 5, 6).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype):
        padded = ReflectionPad2d(1)(x)
    assert padded.dtype == dtype
    expected = nn.functional.pad(x.float(), (1, 1, 1, 1), mode="reflect")
    assert torch.equal(padded.float(), expected)
    padded.float().sum().backward()
    assert x.grad is not None and float(x.grad.float().sum()) == 2 * 7 * 8


def test_a_run_is_resumed_in_another_memory_layout(train_opt: Make) -> None:
    """Fused Adam reads weights and moments as they lie in memory.

    The comparison is in float64, where rounding decides the direction of no step.
    """
    first, straight, later = (model_of(train_opt("--pool_size", "0")) for _ in range(3))
    for model in (first, straight, later):
        for net in ("netG_A", "netG_B", "netD_A", "netD_B"):
            getattr(model, net).double()
    for model in (first, straight):
        model.set_input(doubles(batch_of(1)))
        model.optimize_parameters()
    for net in ("netG_A", "netG_B", "netD_A", "netD_B"):
        getattr(later, net).to(memory_format=torch.channels_last)
    later.load_training_state(copy.deepcopy(first.training_state()))
    moment = later.optimizer_G.state[later.netG_A.model[4].weight]["exp_avg"]
    assert moment.stride() == later.netG_A.model[4].weight.stride()
    for model in (straight, later):
        model.set_input(doubles(batch_of(1, first=5)))
        model.optimize_parameters()
    assert_same_weights(straight, later, 1e-9)  # a step is about 2e-4


@pytest.mark.parametrize("words", [["--accumulate", "4"], ["--precision", "fp16"]])
def test_pending_gradients_that_no_longer_fit_are_dropped(
    train_opt: Make, words: list[str]
) -> None:
    first = model_of(train_opt("--accumulate", "3"))
    first.set_input(batch_of(1))
    first.optimize_parameters()
    state = copy.deepcopy(first.training_state())
    same, other = (model_of(train_opt("--accumulate", "3", *more)) for more in ([], words))
    for model in (same, other):
        model.load_training_state(copy.deepcopy(state))
    assert same.netG_A.model[1].weight.grad is not None
    assert other.netG_A.model[1].weight.grad is None


@pytest.mark.parametrize("changes", ["optimizer", "by hand"])
def test_weights_are_cast_once_and_again_after_they_have_changed(
    train_opt: Make, changes: str
) -> None:
    forward_pass = ForwardPass(train_opt("--precision", "bf16"), CPU)
    net = define_D(3, 4, "basic", norm="instance")
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():  # a cast without a graph must not serve the calls with gradients
        forward_pass.apply(net, images)
    (first,) = forward_pass.apply(net, images)
    with Calls() as calls:
        (second,) = forward_pass.apply(net, images)
    assert torch.equal(first, second)
    assert calls.count["_to_copy"] <= 2  # the images and the scores, no weights
    (first.sum() + second.sum()).backward()
    assert all(w.grad is not None for w in net.parameters() if w.dim() == 4)
    if changes == "optimizer":
        torch.optim.SGD(net.parameters(), lr=1.0).step()
    else:
        net.load_state_dict({key: value + 1 for key, value in net.state_dict().items()})
    (after,) = forward_pass.apply(net, images)
    forward_pass.drop_cast_weights()
    (expected,) = forward_pass.apply(net, images)
    assert torch.equal(after, expected)
    assert not torch.equal(after, first)


def test_a_network_that_steps_more_than_once_in_a_batch_has_its_new_weights(
    train_opt: Make,
) -> None:
    model = create_model(train_opt("--precision", "bf16"))
    model.setup(model.opt)
    images = torch.rand(1, 3, 32, 32)
    for _ in range(3):
        (scores,) = model.apply(model.netD_A, images)
        model.minimize(model.optimizer_D, {"D": scores.square().mean()})
    (after,) = model.apply(model.netD_A, images)
    assert not torch.equal(after, scores)
    model.forward_pass.drop_cast_weights()
    (expected,) = model.apply(model.netD_A, images)
    assert torch.equal(after, expected)


@pytest.fixture
def graphs(monkeypatch: Any) -> list[Any]:
    """The graphs that torch.compile makes, for a backend that runs them as they are."""
    made: list[Any] = []
    compile_net = nn.Module.compile

    def backend(graph: Any, _inputs: Any) -> Any:
        made.append(graph)
        return graph.forward

    def compile_with_it(net: nn.Module, mode: str, **how: Any) -> None:
        compile_net(net, backend=backend, **how)

    monkeypatch.setattr(nn.Module, "compile", compile_with_it)
    return made


@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_monitors_and_short_batches_compile_nothing(train_opt: Make, graphs: list[Any]) -> None:
    model = model_of(train_opt("--compile", "--batch_size", "3", "--lambda_identity", "0"))

    def step(images: int) -> None:
        model.set_input(batch_of(images))
        model.optimize_parameters()

    step(2)  # as where a run resumes before the last batch of an epoch
    assert not graphs
    step(3)
    compiled = len(graphs)
    assert compiled >= 4  # networks
    step(1)
    translate_samples(model, [batch_of(1)])
    step(3)
    assert len(graphs) == compiled


def test_a_backward_pass_that_cannot_be_compiled_is_one_line(train_opt: Make) -> None:
    def fail(_gradient: Tensor) -> None:
        raise TorchDynamoException("C++ compile error")

    model = model_of(train_opt("--compile"))
    loss = torch.ones((), requires_grad=True)
    loss.register_hook(fail)
    with pytest.raises(UserError, match=r"cannot compile here .*update PyTorch, or leave"):
        model.minimize(model.optimizer_G, {"G": loss})


def test_statistics_freeze_for_synchronised_batch_norm_too() -> None:
    """PyTorch's, which computes where there is one process, needs a count."""
    norm = SyncBatchNorm(3)
    norm(torch.rand(2, 3, 4, 4))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with batch_norm_statistics_frozen(norm):
        norm(torch.rand(2, 3, 4, 4))
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name]), name
