"""The contrastive loss of patches: against loops in float64, and which way gradients go."""

import math

import pytest
import torch
from torch import Tensor, nn

from models.networks import define_G
from models.parts.patch_nce import (
    PatchSampler,
    generator_layers,
    layer_channels,
    patch_nce_loss,
    sample_positions,
)
from models.parts.resnet_generator import ResnetBlock, ResnetGenerator
from util import global_batch, ranks

PUBLISHED = (0, 4, 8, 12, 16)


def generator() -> ResnetGenerator:
    net = define_G(3, 3, 4, "resnet_6blocks", "instance", init_gain=0.5)
    assert isinstance(net, ResnetGenerator)
    return net


def unit_vectors(seed: int, *shape: int) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    return nn.functional.normalize(drawn, dim=-1)


def looped(queries: Tensor, keys: Tensor, temperature: float, across_images: bool) -> float:
    """The loss by its equation, one number at a time."""
    images, patches = queries.shape[:2]
    total = 0.0
    for n in range(images):
        for i in range(patches):
            others = range(images) if across_images else [n]
            similar = {
                (m, j): math.exp(float(queries[n, i] @ keys[m, j]) / temperature)
                for m in others
                for j in range(patches)
            }
            total -= math.log(similar[n, i] / sum(similar.values()))
    return total / (images * patches)


@pytest.mark.parametrize("across_images", [False, True])
def test_the_loss_is_that_of_its_equation(across_images: bool) -> None:
    queries, keys = unit_vectors(0, 3, 5, 7), unit_vectors(1, 3, 5, 7)
    loss = patch_nce_loss(queries, keys, 0.07, across_images)
    assert float(loss) == pytest.approx(looped(queries, keys, 0.07, across_images), rel=1e-12)


def test_negatives_of_other_processes_are_those_of_one_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queries, keys = unit_vectors(0, 4, 5, 7), unit_vectors(1, 4, 5, 7)
    monkeypatch.setattr(global_batch, "gather_batches", lambda _own: list(keys.split(2)))
    losses = []
    for rank in (0, 1):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        own = slice(2 * rank, 2 * rank + 2)
        losses.append(float(patch_nce_loss(queries[own], keys[own], 0.07, across_images=True)))
    assert sum(losses) / 2 == pytest.approx(looped(queries, keys, 0.07, True), rel=1e-12)


def test_gradients_reach_queries_alone() -> None:
    queries, keys = (unit_vectors(n, 2, 5, 7).requires_grad_() for n in (0, 1))
    patch_nce_loss(queries, keys, 0.07).backward()
    assert keys.grad is None
    assert queries.grad is not None
    assert float(queries.grad.abs().min()) > 0


def test_published_layers_are_those_entries_of_the_generator() -> None:
    net = generator()
    layers = generator_layers(net, PUBLISHED)
    assert layers == [0, 4, 7, 10, 14]
    assert [net.model[n].stride for n in layers[1:3]] == [(2, 2), (2, 2)]
    assert all(isinstance(net.model[n], ResnetBlock) for n in layers[3:])
    assert layer_channels(net, layers) == [3, 8, 16, 16, 16]
    assert generator_layers(net, [17]) == [15]  # the last residual block
    for beyond in (-1, 18):
        with pytest.raises(ValueError, match=f"layer {beyond}: choose from 0 to 17"):
            generator_layers(net, [beyond])


def test_features_are_what_the_layers_return() -> None:
    """Also where the layer behind overwrites them."""
    net, layers = generator(), [0, 2, 4, 7, 10]
    images = torch.rand(2, 3, 16, 16)
    expected, x = {}, images
    for number, layer in enumerate(net.model):
        x = layer(x.clone())
        expected[number] = x.clone()
    features = net(images, layers)
    for number, found in zip(layers, features, strict=True):
        assert torch.equal(found, expected[number]), number
    features[1].sum().backward()
    assert torch.equal(net(images), x)


def test_what_is_drawn_after_positions_depends_on_no_size() -> None:
    """Processes with images of several sizes draw from generators that stay alike."""
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    for side, generator in zip((4, 7), generators, strict=True):
        sample_positions([torch.rand(1, 3, side, side)], 8, generator)
    first, second = (torch.rand(4, generator=generator) for generator in generators)
    assert torch.equal(first, second)


def test_sampled_features_are_those_of_their_positions() -> None:
    features = [torch.rand(2, 3, 4, 5), torch.rand(2, 6, 2, 2)]
    positions = sample_positions(features, 8, torch.Generator())
    assert [len(where) for where in positions] == [8, 4]
    assert all(len(set(where.tolist())) == len(where) for where in positions)
    plain = PatchSampler([3, 6], 0)(features, positions)
    for maps, where, found in zip(features, positions, plain, strict=True):
        expected = torch.stack([maps.flatten(2)[:, :, p] for p in where.tolist()], dim=1)
        torch.testing.assert_close(found, nn.functional.normalize(expected, dim=2))
    net = PatchSampler([3, 6], 16)
    # the keys of published weights
    keys = [f"mlp_{n}.{i}.{of}" for n in (0, 1) for i in (0, 2) for of in ("weight", "bias")]
    assert [*net.state_dict()] == keys
    sampled = net(features, positions)
    assert [tuple(found.shape) for found in sampled] == [(2, 8, 16), (2, 4, 16)]
    for found in sampled:
        torch.testing.assert_close(found.norm(dim=2), torch.ones(found.shape[:2]))


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_features_are_those_of_plain_convolutions(norm: str) -> None:
    """Biases before instance norm matter in front of it; nothing overwrites what was read."""
    net, layers = define_G(3, 3, 4, "resnet_6blocks", norm, init_gain=0.5), [1, 4, 7]
    assert isinstance(net, ResnetGenerator)
    for layer in (net.model[number] for number in layers):
        if norm == "none":
            layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
        nn.init.normal_(layer.bias)
    images = torch.rand(2, 3, 16, 16)
    features = net(images, layers)
    x = images
    for number, layer in enumerate(net.model[: layers[-1] + 1]):
        if number not in layers:
            x = layer(x.clone())
            continue
        x = nn.functional.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)
        torch.testing.assert_close(features[layers.index(number)], x)
    sum(maps.square().mean() for maps in features).backward()
    assert all(net.model[number].bias.grad.abs().min() > 0 for number in layers)
