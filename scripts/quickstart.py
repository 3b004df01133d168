"""Install, train and translate on demo images: python scripts/quickstart.py

Creates the environment .venv with requirements.txt, draws the demo images, trains a small CycleGAN
on them, and translates images that it has not seen. Needs nothing but Python.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from environment import ROOT, make_environment

from util.errors import command
from util.programs import escape_on_stdout

NAME = "quickstart"
DEMO = Path("datasets") / "demo"
STEPS = 5
TRAINING = ["--model", "cycle_gan", "--netG", "resnet_6blocks", "--ngf", "16", "--ndf", "16"]
TRAINING += ["--load_size", "72", "--crop_size", "64", "--n_epochs", "2", "--n_epochs_decay", "2"]
TRAINING += ["--print_freq", "100", "--update_html_freq", "200", "--display_id", "-1"]
TRAINING += ["--num_threads", "1", "--save_epoch_freq", "4", "--precision", "auto"]


def main(argv: list[str] | None = None) -> int:
    """Run the steps; return the exit code of the first that fails, else 0."""
    escape_on_stdout()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--python", default=None, help="use this interpreter instead of making .venv"
    )
    parser.add_argument("--seed", default="0", help="seed of the training")
    args = parser.parse_args(argv)
    if args.python and shutil.which(args.python) is None:
        parser.error(f"--python {args.python}: there is no such interpreter")
    try:
        return take_steps(args.python, args.seed)
    except KeyboardInterrupt:
        print("\nstopped; scripts/quickstart.py starts again from the beginning")
        return 130


def take_steps(interpreter: str | None, seed: str) -> int:
    """Install the packages unless an interpreter is given, and run the other steps."""
    began = time.perf_counter()
    if interpreter:
        say(1, f"using the packages of {interpreter}")
        python = os.path.abspath(shutil.which(interpreter) or interpreter)  # noqa: PTH100
    else:
        say(1, f"installing the packages into {ROOT / '.venv'} (PyTorch is large: some minutes)")
        python = str(make_environment(ROOT / ".venv", [ROOT / "requirements.txt"]))
    complete_dashboard(python)
    installed = time.perf_counter()
    for number, text, words in steps(seed):
        say(number, text)
        code = run([python, *words])
        if code:
            print(f"error: step {number} failed with exit code {code} (see above)")
            return code
    now = time.perf_counter()
    print(f"\nDone: {installed - began:.0f} s to install, {now - installed:.0f} s for the rest.")
    say_what_next(python)
    say_how_to_use_the_gpu(python)
    return 0


def run(words: list[str]) -> int:
    """Run a program and return its exit code.

    Ctrl-C reaches the program too, and its end is waited for; the second time it is terminated.
    """
    program = subprocess.Popen(words, cwd=ROOT)
    try:
        return program.wait()
    except KeyboardInterrupt:
        try:
            program.wait()
        except KeyboardInterrupt:
            program.terminate()
            program.wait()
        raise


def steps(seed: str) -> list[tuple[int, str, list[str]]]:
    """Return number, description and arguments of the interpreter for each step after the first."""
    images = Path("results") / NAME / "test_latest" / "images"
    translate = ["02_inference.py", "--name", NAME, "--model", "test", "--model_suffix", "_A"]
    train = ["01_train.py", "--dataroot", str(DEMO), "--name", NAME, "--seed", seed, *TRAINING]
    compare = ["scripts/evaluate.py", "--real", str(DEMO / "testB"), "--fake", str(images)]
    compare += ["--label", "fake", "--input", str(DEMO / "testA"), "--metrics", "l1"]
    return [
        (2, "drawing the demo images", ["datasets/make_demo_dataset.py"]),
        (3, "training for 4 epochs of 200 images (about 2 minutes on two cores)", train),
        (4, "translating the test images", translate),
        (5, "comparing with the true answers, which the demo data has", compare),
    ]


def complete_dashboard(python: str) -> None:
    """Fetch the scripts of visdom's page; where that fails, say how to do it later."""
    words = [python, "scripts/install_visdom_assets.py"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().removeprefix("error: ")
        print(f"the dashboard of later trainings has no page yet: {reason}; run: {command(words)}")


def say(number: int, text: str) -> None:
    """Print the heading of a step."""
    print(f"\n[{number}/{STEPS}] {text}", flush=True)


def say_what_next(python: str) -> None:
    """Print the pages to open, and the commands for the user's own images."""
    results = ROOT / "results" / NAME / "test_latest" / "index.html"
    gallery = ROOT / "checkpoints" / NAME / "web" / "index.html"
    print(
        f"""
Open in a browser:
  the translated images:  {results}
  the course of training:   {gallery}

With your own images, in the folders DIR/trainA, DIR/trainB, DIR/testA, DIR/testB:
  {command([python])} 01_train.py --dataroot DIR --name mine --model cycle_gan
  {command([python])} 02_inference.py --name mine --model test --model_suffix _A"""
    )


def say_how_to_use_the_gpu(python: str) -> None:
    """Print what to install where PyTorch cannot use an NVIDIA GPU of this machine."""
    code = "from util.devices import gpu_problem; print(gpu_problem() or '')"
    asked = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True)
    problem = asked.stdout.strip()
    if problem:
        pip = f"{command([python])} -m pip install"
        print(f"\nNot on the GPU: {problem.replace('pip install', pip)}")


if __name__ == "__main__":
    sys.exit(main())
