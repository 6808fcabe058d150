"""zvr: look inside zero-shot video restoration.

Names load on first use, so that `import zvr_core` takes no time and no torch.
"""

from __future__ import annotations

import importlib

_HOME = {
    "Clip": "clip",
    "load_clip": "clip",
    "write_clip": "media.writing",
    "load_model": "models.load",
    "load_method": "methods.presets",
    "Restoration": "restore",
    "LastStep": "history",
    "Unobserved": "events",
    "RecordAt": "recording.choice",
    "record": "recording.recorder",
    "Truth": "recording.clip",
    "open_trace": "trace",
    "Correspondence": "correspondence",
    "ZvrError": "errors",
}
__all__ = list(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'zvr_core' has no attribute {name!r}; it has: {', '.join(sorted(_HOME))}")
    return getattr(importlib.import_module(f"zvr_core.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
