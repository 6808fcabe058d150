"""Methods and samplers as JSON, and back: what a recording says of its run, and what resuming builds it from."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from zvr_core.errors import ZvrError

PACKAGE = "zvr_core"


def describe(value: object) -> Any:
    """Nested frozen dataclasses as {"type": "module:class", field: …}; tuples as lists, infinity as {"float": "inf"}.

    What has no fields (a function, say) is named, too, but cannot be rebuilt.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type_name(type(value)), **{f.name: describe(getattr(value, f.name)) for f in fields(value) if f.init}}
    return {"type": type_name(type(value)), "text": str(value)}


def type_name(kind: type) -> str:
    """The "module:class" of a class."""
    return f"{kind.__module__}:{kind.__qualname__}"


def rebuild(description: Any) -> Any:
    """The value that `describe` described, equal to it; raises ZvrError where it is made of classes from outside zvr_core."""
    if isinstance(description, list):
        return tuple(rebuild(item) for item in description)
    if not isinstance(description, Mapping):
        return description
    if set(description) == {"float"}:
        return float(description["float"])
    settings = {name: rebuild(value) for name, value in description.items() if name != "type"}
    try:
        return known_class(str(description.get("type")))(**settings)
    except TypeError as error:
        raise ZvrError(f"cannot rebuild {description['type']}: {error}; it was recorded by another version; pass method=…") from error


def known_class(name: str) -> type:
    """The dataclass of zvr_core that "module:class" names; raises ZvrError for anything else."""
    module, _, kind = name.partition(":")
    if module.split(".")[0] != PACKAGE:
        raise ZvrError(f"cannot rebuild {name}: only classes of {PACKAGE} are; pass method=… (or sampler=…) as it was in the recorded run")
    try:
        found = getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError) as error:
        raise ZvrError(f"cannot rebuild {name}: this version of {PACKAGE} has none; pass method=… (or sampler=…)") from error
    if not (isinstance(found, type) and is_dataclass(found)):
        raise ZvrError(f"cannot rebuild {name}: it is no value; pass method=… (or sampler=…)")
    return found
