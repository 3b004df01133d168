"""A copy of a training in the memory of the host shares nothing with it."""

from collections import OrderedDict

import torch

from util.checkpoints.host_copy import host_copy


def test_a_copy_has_the_values_and_types_and_shares_nothing() -> None:
    weight = torch.rand(2, 3, 4, 4, requires_grad=True).to(memory_format=torch.channels_last)
    content = {
        "weights": OrderedDict(weight=weight),
        "moments": [{0: {"exp_avg": torch.rand(2)}}, (torch.tensor(1), None)],
        "plateau": {"bad": {1, 2}, "best": 0.5},
    }
    copied = host_copy(content)
    (kept,) = copied["weights"].values()
    assert type(copied["weights"]) is OrderedDict
    assert torch.equal(kept, weight)
    assert kept.stride() == weight.stride()
    assert not kept.requires_grad
    assert type(copied["moments"][1]) is tuple
    assert copied["plateau"] == content["plateau"]
    with torch.no_grad():
        weight.zero_()
        content["moments"][0][0]["exp_avg"].zero_()  # type: ignore[index]
    content["plateau"]["bad"].clear()  # type: ignore[index]
    assert bool(kept.all())
    assert bool(copied["moments"][0][0]["exp_avg"].all())
    assert copied["plateau"]["bad"] == {1, 2}
