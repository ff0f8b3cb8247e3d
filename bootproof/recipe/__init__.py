# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: what to build, as TOML; loaded, extended, merged and checked as a whole (docs/recipes.md)."""

from bootproof.recipe.faults import Fault, RecipeError
from bootproof.recipe.load import RecipeSummary, available, load
from bootproof.recipe.model import (
    Ima,
    Kernel,
    Layers,
    Menu,
    Packages,
    Recipe,
    Smoke,
    Vm,
    canonical,
    from_data,
)
from bootproof.recipe.reference import Row, schema_table

__all__ = [
    "Fault",
    "Ima",
    "Kernel",
    "Layers",
    "Menu",
    "Packages",
    "Recipe",
    "RecipeError",
    "RecipeSummary",
    "Row",
    "Smoke",
    "Vm",
    "available",
    "canonical",
    "from_data",
    "load",
    "schema_table",
]
