"""The generators of a model in training, as evaluation calls them."""

import copy
from collections.abc import Callable

from torch import Tensor

from util.checkpoints.weights import AVERAGED, unwrap

from ..base_model import BaseModel
from .translator import InferenceSettings, Translator, on_rgb


def current_generators(model: BaseModel) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return the translators of G_A, G_B or G, whichever the model has, by name.

    Each is a copy of the network as it is now, with --ema of its average, in the mode of
    02_inference.py without --eval (dropout on, batch norm by the image's own statistics) and in the
    precision of the training, so that nothing of the training changes, neither statistics nor
    memory layout. A translator takes and returns images (1, 3, H, W) in [-1, 1].
    """
    opt = model.opt
    translators: dict[str, Callable[[Tensor], Tensor]] = {}
    for name in ("G_A", "G_B", "G"):
        if name not in model.model_names:
            continue
        averaged = f"{name}{AVERAGED}"
        weights = averaged if averaged in model.model_names else name
        net = copy.deepcopy(unwrap(getattr(model, f"net{weights}"))).train()
        # the precision of the training, since Translator sets PyTorch's switches by it
        translator = Translator(net, model.device, InferenceSettings(opt.precision))
        translators[name] = on_rgb(translator, opt.output_nc if name == "G_B" else opt.input_nc)
    return translators
