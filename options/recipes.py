"""Recipes: sets of flags of training under one name, as `--recipe` asks for them."""

import logging
from typing import Any

from util.errors import UsageError
from util.options import Options

log = logging.getLogger(__name__)

RECIPES: dict[str, dict[str, Any]] = {
    "better": {"upsample": "resize", "skip_connections": True, "ema": 0.999},
}
"""Name of a recipe -> the options that it sets, none of which decides what flags there are."""


def with_recipe(opt: Options) -> Options:
    """Return the options with those of the recipe, except where a flag was typed.

    Raises UsageError for an unknown recipe, which a script may assign, and where the model has no
    such flag.
    """
    if opt.recipe and opt.recipe not in RECIPES:
        raise UsageError(f"--recipe {opt.recipe}: choose from {', '.join(RECIPES)}")
    recipe = RECIPES.get(opt.recipe, {})
    for name in recipe.keys() - vars(opt).keys():
        raise UsageError(f"--recipe {opt.recipe} sets --{name}, which --model {opt.model} lacks")
    return opt.replace(**{n: value for n, value in recipe.items() if n not in opt.given})


def without_recipe(opt: Options, defaults: dict[str, Any]) -> Options:
    """Return the options with the defaults of those that the recipe set."""
    untyped = RECIPES.get(opt.recipe, {}).keys() - opt.given
    return opt.replace(**{name: defaults[name] for name in untyped})


def log_recipe(opt: Options) -> None:
    """Log what the options of the recipe are: its values, or those that were typed or stored."""
    if opt.recipe in RECIPES:
        log.info("--recipe %s: %s", opt.recipe, _flags(vars(opt), opt.recipe))


def recipes_text() -> str:
    """Return each recipe with its flags, for --help."""
    return "; ".join(f"{name}: {_flags(values, name)}" for name, values in RECIPES.items())


def _flags(values: dict[str, Any], recipe: str) -> str:
    given = {name: values[name] for name in RECIPES[recipe]}
    words = [f"--{n}" if v is True else f"--{n} {v}" for n, v in given.items() if v is not False]
    return " ".join(words)
