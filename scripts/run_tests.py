"""Run all checks: lint, format, types and tests. python scripts/run_tests.py

Creates `.venv-tests` with the test tools (--fresh: again) and needs nothing but Python. Arguments
after `--` go to pytest, which then runs alone: python scripts/run_tests.py -- -k options
As root on Debian it installs what the browser tests need; elsewhere these are skipped without it.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from environment import ROOT, make_environment

ENVIRONMENT = ROOT / ".venv-tests"
DEBIAN = {"chromium": "chromium", "chromedriver": "chromium-driver"}
"""Programs that the browser tests need -> the Debian packages that contain them."""
SWITCHES = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS")
"""Environment variables that change how a CPU computes; printed where they are set."""
CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "fast tests": ["pytest", "-q", "-n", "2", "-m", "not slow"],
    "slow tests": ["pytest", "-q", "-n", "2", "-m", "slow"],
}


def main(argv: list[str] | None = None) -> int:
    """Run every check, also after one has failed; return 0 where all passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="create the environment again")
    parser.add_argument("pytest", nargs="*", help="words for pytest, after --")
    args = parser.parse_args(argv)
    if args.fresh:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    print("installing the environment of the tests ...", flush=True)
    requirements = [ROOT / "requirements.txt", ROOT / "scripts/requirements_test.txt"]
    python = make_environment(ENVIRONMENT, requirements)
    prepare_browser(python)
    print(f"on {machine(python)}", flush=True)
    checks = {"tests": ["pytest", *args.pytest]} if args.pytest else CHECKS
    failed = [name for name, words in checks.items() if not passes(python, name, words)]
    print(f"failed: {', '.join(failed)}" if failed else "the gate is green", flush=True)
    return 1 if failed else 0


def machine(python: Path) -> str:
    """Describe hardware and versions in one line, which helps to explain a failure elsewhere."""
    code = (
        "import torch, torchvision, sys; print('PyTorch', torch.__version__, 'torchvision',"
        " torchvision.__version__, torch.backends.cpu.get_cpu_capability(),"
        " 'GPU' if torch.cuda.is_available() else 'no GPU')"
    )
    versions = subprocess.run([str(python), "-c", code], capture_output=True, text=True).stdout
    usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    facts = [processor(), f"{len(usable)} cores", platform.platform(terse=True)]
    facts += [f"Python {platform.python_version()}", versions.strip() or "PyTorch fails to import"]
    facts += [f"{name}={os.environ[name]}" for name in SWITCHES if name in os.environ]
    return ", ".join(facts)


def processor() -> str:
    """Return the name of the CPU and, on Linux, its units for half precision."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.is_file() else ""
    fields = dict(re.findall(r"^(model name|flags)\s*: (.*)$", text, flags=re.MULTILINE))
    name = fields.get("model name") or platform.processor() or platform.machine()
    units = re.findall(r"\b(?:amx_(?:bf16|fp16)|avx512_(?:bf16|fp16))\b", fields.get("flags", ""))
    return f"{name} ({' '.join(sorted(units))})" if units else name


def prepare_browser(python: Path) -> None:
    """Install Chromium and visdom's scripts; the browser tests report what is missing."""
    missing = [package for program, package in DEBIAN.items() if shutil.which(program) is None]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        print(f"installing {', '.join(missing)} ...", flush=True)
        for words in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            command = ["apt-get", "-qq", *words]
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)
    subprocess.run([str(python), str(ROOT / "scripts/install_visdom_assets.py")])


def passes(python: Path, name: str, words: list[str]) -> bool:
    """Run a check, print its duration, and return whether it passed."""
    print(f"== {name}: {' '.join(words)}", flush=True)
    began = time.perf_counter()
    code = subprocess.run([str(python), "-m", *words], cwd=ROOT).returncode
    seconds = time.perf_counter() - began
    print(f"== {name}: {'passed' if code == 0 else 'FAILED'} in {seconds:.0f} s", flush=True)
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
