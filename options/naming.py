"""The name of a run, as `--name` and `--suffix` give it."""

import os
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from util.errors import UsageError

LONGEST_NAME = 200
"""Bytes in the name of a run: file systems take 255, and `.1` or `.lock` may be added."""


def suffixed_name(name: str, suffix: str, values: dict[str, Any]) -> str:
    """`name`, with `_` and the filled-in suffix behind it where there is one.

    Raises UsageError where the suffix names an option that does not exist, or a part of one.
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
    """The name of a run: a relative path below --checkpoints_dir, such as `run` or `group/run`.

    Returned without what means nothing, as in `./run/`. Raises UsageError for anything else.
    """
    path = PurePath(name.strip())
    parts = path.parts
    outside = any(".." in kind(name).parts for kind in (PurePosixPath, PureWindowsPath))
    if not parts or outside or PureWindowsPath(name).anchor or path.anchor:
        what = "is empty" if not name.strip() else "is no folder below --checkpoints_dir"
        raise UsageError(f"--name {name or repr(name)}: {what}; give a name such as monet or a/b")
    if len(os.fsencode(path)) > LONGEST_NAME:
        raise UsageError(f"--name {name[:20]}...: is longer than {LONGEST_NAME} bytes; shorten it")
    return path.as_posix()
