"""zvr_viz: pictures of what happens inside a restoration.

Names load on first use: `import zvr_viz` takes no time, and pictures never load torch.
"""

from __future__ import annotations

import importlib

_HOME = {
    "match_map": "match_figures",
    "figure5": "match_figures",
    "figure10": "match_figures",
    "Largest": "matches",
    "Spaced": "matches",
    "Box": "matches",
    "token_layers": "token_figures",
    "similarity_map": "token_figures",
    "flow_figure": "clip_figures",
    "temporal_profile": "clip_figures",
    "step_strip": "clip_figures",
    "Cut": "profile",
    "schedules": "schedules",
    "metric_curves": "curves",
    "AnnealingChart": "annealing",
    "explore": "explorer",
    "save_html": "export",
    "LiveExplorer": "live",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'zvr_viz' has no attribute {name!r}; it has: {', '.join(sorted(_HOME))}")
    return getattr(importlib.import_module(f"zvr_viz.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
