"""The name of a run, as `--name` and `--suffix` give it."""

import os
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from util.errors import UsageError

LONGEST_NAME = 200
"""Bytes in the name of a run: file systems allow 255, and `.1` or `.lock` may be appended."""


def suffixed_name(name: str, suffix: str, values: dict[str, Any]) -> str:
    """Return `name`, with `_` and the filled-in suffix appended where there is one.

    Raises UsageError where the suffix names an option that does not exist, or an attribute of one.
    """
    if not suffix:
        return name
    try:
        return f"{name}_{suffix.format(**values)}"
    except (KeyError, IndexError) as error:
        reason = f"{error} is no option"
    except (ValueError, AttributeError, TypeError) as error:
        reason = f"cannot be filled in ({error})"
    raise UsageError(f"--suffix {suffix}: {reason}; e.g. {{netG}}_{{ngf}}")


def run_name(name: str) -> str:
    """Return the name of a run as a relative path below --checkpoints_dir: `run` or `group/run`.

    `./run/` becomes `run`. Raises UsageError for a name that is empty, too long or leads elsewhere.
    """
    path = PurePath(name.strip())
    parts = path.parts
    outside = any(".." in kind(name).parts for kind in (PurePosixPath, PureWindowsPath))
    if not parts or outside or PureWindowsPath(name).anchor or path.anchor:
        reason = "is empty" if not name.strip() else "is no folder below --checkpoints_dir"
        raise UsageError(f"--name {name or repr(name)}: {reason}; give a name such as monet or a/b")
    if len(os.fsencode(path)) > LONGEST_NAME:
        raise UsageError(f"--name {name[:20]}...: is longer than {LONGEST_NAME} bytes; shorten it")
    return path.as_posix()
