"""Export a generator for other programs: python scripts/export.py --name NAME --to onnx

Writes <checkpoints_dir>/<name>/<epoch>_net_G<suffix>.{onnx,pt,safetensors}. Height and width are
dynamic axes: multiples of what the metadata say, which also describe pre- and post-processing. The
file is compared with PyTorch on two sizes. Dropout is off, batch norm uses running statistics.
"""

import argparse
import copy
import importlib
import inspect
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.inference.image_translator import build_generator
from models.parts.architecture import Generator
from models.parts.convolutions import OutputConv2d
from util.checkpoints.find_weights import find_generator
from util.checkpoints.run_folder import read_training_options
from util.checkpoints.weights import bare_state_dict, load_into
from util.errors import UserError
from util.files import make_folder, write_atomically
from util.run.session import run_program

Apply = Callable[[Tensor], Tensor]
INPUT, OUTPUT = "image", "translation"
SIZES = ((1, 2), (3, 2))
"""Height and width of the check, in units of 32 pixels or of the network's multiple."""

MAX_DIFFERENCE = 1e-3
"""Of outputs in [-1, 1]: an eighth of a level of an 8-bit image."""


OF_IMAGES = (
    "8-bit RGB (gray where input_nc is 1) / 127.5 - 1",
    "(output + 1) * 127.5, round, clamp to 0..255",
)
OF_COLOURS = (
    "L of CIELAB (illuminant D65) / 50 - 1",
    "output * 110 are a and b of CIELAB, with the L of the input",
)
"""What a generator takes, and what is done to its output."""


def main(argv: list[str] | None = None) -> int:
    """Export and check; return 1 where the file differs from PyTorch."""
    args = arguments(argv)
    weights = find_generator(args.name, args.checkpoints_dir, args.epoch, args.model_suffix)
    net, architecture = build_generator(weights)
    net.eval()
    OutputConv2d.by_rows = False  # other programs have kernels of their own
    of_colours = read_training_options(weights.parent).get("model") == "colorization"
    write, suffix = FORMATS[args.to]
    path = args.output or weights.with_suffix(suffix)
    if path.is_dir():
        raise UserError(f"--output {path}: is a folder; give a file, such as {path / f'G{suffix}'}")
    make_folder(path.parent)
    apply = write(net, path, metadata(net, architecture, of_colours))
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB) from {weights}")
    worst = largest_difference(net, apply)
    print(f"largest difference from PyTorch on two sizes: {worst:.1e} (of a range of 2)")
    if worst > MAX_DIFFERENCE:
        print(f"error: {path} differs by more than {MAX_DIFFERENCE}", file=sys.stderr)
        return 1
    return 0


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--name", required=True, help="name of a run, its folder, or a weight file")
    add("--to", required=True, choices=tuple(FORMATS), help="kind of file")
    add("--output", type=Path, help="file to write (default: beside the weights)")
    add("--model_suffix", help="_A or _B, as for 02_inference.py (default: none, else _A)")
    add("--epoch", default="latest", help="which epoch (default: latest)")
    add("--checkpoints_dir", default="./checkpoints", help="where runs are stored")
    return parser.parse_args(argv)


def metadata(net: nn.Module, architecture: Generator, of_colours: bool) -> dict[str, str]:
    """Return as text what a program must know to use the network.

    `of_colours`: it is one of --model colorization.
    """
    multiple = getattr(net, "multiple", 1)
    before, after = OF_COLOURS if of_colours else OF_IMAGES
    return {
        "preprocessing": f"{before}, N x C x H x W float32",
        "padding": "reflect on all sides, half of it before, to multiples of size_multiple and at "
        "least smallest_size; crop the output alike",
        "postprocessing": after,
        "size_multiple": str(multiple),
        "smallest_size": str(getattr(net, "smallest", multiple)),
        **{name: str(value) for name, value in architecture.flags().items()},
    }


def write_onnx(net: nn.Module, path: Path, notes: dict[str, str]) -> Apply:
    """Write ONNX; return the function that onnxruntime computes from the file."""
    onnx, runtime = optional("onnx"), optional("onnxruntime")
    dynamic = {0: "n", 2: "height", 3: "width"}
    older: dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        older["dynamo"] = False  # seconds instead of minutes, and needs no further package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (example(net),),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: dynamic, OUTPUT: dynamic},
            **older,
        )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, notes)
    onnx.save(model, str(path))
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {INPUT: images.numpy()})[0])


def write_torchscript(net: nn.Module, path: Path, notes: dict[str, str]) -> Apply:
    """Write TorchScript by tracing; the metadata are the extra file metadata.json."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(net, example(net))
        torch.jit.save(traced, str(path), _extra_files={"metadata.json": json.dumps(notes)})
        return torch.jit.load(str(path))


def write_safetensors(net: nn.Module, path: Path, notes: dict[str, str]) -> Apply:
    """Write the weights alone; the metadata name the architecture."""
    safe = optional("safetensors.torch", package="safetensors")
    content = safe.save(dict(bare_state_dict(net)), metadata=notes)
    write_atomically(path, lambda file: file.write(content))
    again = copy.deepcopy(net)
    for parameter in again.parameters():
        parameter.data.zero_()
    load_into(again, safe.load_file(str(path)), path)
    return again


FORMATS = {
    "onnx": (write_onnx, ".onnx"),
    "torchscript": (write_torchscript, ".pt"),
    "safetensors": (write_safetensors, ".safetensors"),
}
"""What --to accepts -> the writer, which returns the function in the file, and the suffix."""


def example(net: nn.Module, units: tuple[int, int] = (1, 1)) -> Tensor:
    """Return a random image (1, C, H, W) in [-1, 1], `units` times the size multiple large."""
    unit = max(32, getattr(net, "multiple", 1))
    channels = next(layer.in_channels for layer in net.modules() if isinstance(layer, nn.Conv2d))
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, channels, units[0] * unit, units[1] * unit, generator=generator) * 2 - 1


@torch.inference_mode()
def largest_difference(net: nn.Module, apply: Apply) -> float:
    """Return the largest difference between the outputs of PyTorch and of the file."""
    images = [example(net, units) for units in SIZES]
    return max(float((net(image) - apply(image)).abs().max()) for image in images)


def optional(module: str, package: str | None = None) -> ModuleType:
    """Import an optional package. Raises UserError saying what to install."""
    try:
        return importlib.import_module(module)
    except ImportError:
        name = package or module
        raise UserError(f"this needs the package {name}: pip install {name}") from None


if __name__ == "__main__":
    sys.exit(run_program(main))
