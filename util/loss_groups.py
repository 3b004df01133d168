"""Which losses are drawn together: D_A with D_B, cycle_A with cycle_B."""

from collections.abc import Iterable


def loss_groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by what stands before their last underscore, in the order in which they came."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("_")[0] or name, []).append(name)
    return groups
