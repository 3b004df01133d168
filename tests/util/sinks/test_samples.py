"""The fixed images of a run stay the same, and translating them leaves the model unchanged."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from data import create_dataset
from data.inference.fixed_samples import fixed_samples
from models import create_model, current_generators
from options.train_options import TrainOptions
from util.options import Options
from util.sinks.samples import translate_samples

FLAGS = "--netG resnet_6blocks --ngf 4 --ndf 4 --load_size 36 --crop_size 32 --gpu_ids -1 --seed 1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / name).mkdir()
        for number in range(6):
            colour = (40 * number, 90, 200 if name.startswith("test") else 10)
            Image.new("RGB", (40, 40), colour).save(tmp_path / name / f"{number}.png")
    return tmp_path


def options(folder: Path, *more: str) -> Options:
    words = ["--dataroot", str(folder), "--name", "x", *FLAGS.split(), *more]
    return TrainOptions().parse(words)


def samples(opt: Options) -> list[dict[str, Any]]:
    return fixed_samples(opt, create_dataset(opt).dataset)


def test_the_first_test_images_without_randomness(folder: Path) -> None:
    first, second = (samples(options(folder)) for _ in range(2))
    assert len(first) == 4
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one["A"], two["A"]) and torch.equal(one["B"], two["B"])
    assert "testA" in first[0]["A_paths"][0]
    assert first[1]["A"].shape == (1, 3, 32, 32)


def test_training_images_where_no_test_folder_exists(folder: Path, monkeypatch) -> None:
    shutil.rmtree(folder / "testA")
    shutil.rmtree(folder / "testB")
    opt = options(folder)
    training = create_dataset(opt).dataset
    walked: list[object] = []
    monkeypatch.setattr("os.walk", lambda *where, **_: walked.append(where) or iter(()))
    images = fixed_samples(opt, training)
    paths = [f"{folder}/trainA/{number}.png" for number in range(4)]
    assert [sample["A_paths"][0] for sample in images] == paths
    assert not walked
    assert training.opt.isTrain
    assert {sample["A"].shape for sample in images} == {(1, 3, 32, 32)}


def test_none_where_nothing_can_be_read(folder: Path) -> None:
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"no image")
    assert samples(options(folder)) == []


@pytest.mark.parametrize("model_flags", ["", "--norm batch"])
def test_translating_leaves_the_model_unchanged(folder: Path, model_flags: str) -> None:
    opt = options(folder, *model_flags.split()).replace(no_dropout=False)
    model, batches = create_model(opt), samples(opt)
    model.setup(opt)
    model.set_input(batches[0])
    model.forward()
    attributes = dict(vars(model))
    tensors = {name: t.clone() for name, t in model.netG_A.state_dict().items()}
    random_state = torch.get_rng_state()
    rows = translate_samples(model, batches)
    assert [list(row) for row in rows] == [["real_A", "fake_B", "real_B", "fake_A"]] * 4
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is value for name, value in attributes.items())
    assert all(module.training for module in model.netG_A.modules())
    assert all(torch.equal(t, tensors[n]) for n, t in model.netG_A.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())
    again = translate_samples(model, batches)
    assert torch.equal(rows[3]["fake_B"], again[3]["fake_B"])


@pytest.mark.parametrize("no_dropout", [True, False])
def test_fixed_images_are_those_of_inference_by_default(folder: Path, no_dropout: bool) -> None:
    opt = options(folder, "--norm", "batch").replace(no_dropout=no_dropout)
    model, batches = create_model(opt), samples(opt)
    model.setup(opt)
    batches[0]["A"] = torch.rand(1, 3, 32, 32) * 2 - 1
    model.set_input(batches[0])
    model.optimize_parameters()  # running statistics are now far from those of an image
    shown = translate_samples(model, batches)[0]["fake_B"]
    if no_dropout:  # whose choices depend on the memory layout
        translated = current_generators(model)["G_A"](batches[0]["A"])
        torch.testing.assert_close(shown, translated, atol=1e-4, rtol=1e-4)
    else:
        (layer,) = {type(m) for m in model.netG_A.modules() if isinstance(m, torch.nn.Dropout)}
        calls: list[bool] = []
        forward = layer.forward
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layer, "forward", lambda s, x: calls.append(s.training) or forward(s, x))
            assert torch.equal(translate_samples(model, batches)[0]["fake_B"], shown)
        assert calls and all(calls)
    model.eval()
    model.set_input(batches[0])
    model.test()
    assert not torch.allclose(shown, model.fake_B, atol=1e-2)


def test_synchronised_batch_norm_does_not_wait_for_other_processes(folder: Path) -> None:
    """A process group of two where only this process shows images: a collective would hang."""

    class Alone(torch.nn.SyncBatchNorm):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            assert not self.training  # in training mode it calls the other processes
            return super().forward(input)

    opt = options(folder, "--norm", "batch")
    model, batches = create_model(opt), samples(opt)
    model.setup(opt)
    plain = translate_samples(model, batches)[0]["fake_B"]
    for layer in [m for m in model.netG_A.modules() if isinstance(m, torch.nn.BatchNorm2d)]:
        layer.__class__ = Alone
        layer.process_group = None
    before = {name: t.clone() for name, t in model.netG_A.state_dict().items()}
    torch.testing.assert_close(translate_samples(model, batches)[0]["fake_B"], plain)
    after = model.netG_A.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], t) for name, t in before.items())
    assert all(module.training for module in model.netG_A.modules())
