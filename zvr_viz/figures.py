"""All figures in one place.  Each takes a trace and returns a `Picture` (a matplotlib Figure) or a `Chart` (plotly, with its still).

| figure | shows |
|---|---|
| `match_map` | where flow and cosine send the same tokens of a frame |
| `figure5` | the same at several steps, in rows |
| `figure10` | the same for several runs, in columns |
| `token_layers` | disagreement, margin, age of the provider, merged mask, confidence, occlusion |
| `similarity_map` | what one token resembles in the key frame |
| `flow_figure` | flow to the key frame, its confidence, occlusion |
| `temporal_profile` | one row or column over time: input, other runs, result, truth |
| `step_strip` | one frame from noise to picture |
| `schedules` | merge ratio, merged tokens, noise level, warped steps |
| `metric_curves` | match accuracy, agreement, warping error over the steps |
| `AnnealingChart` | Eq. 8 with sliders (in `annealing`) |

What was not recorded is said in the panel, in the words of the trace's error.
"""

from __future__ import annotations

from zvr_viz.clip_figures import flow_figure, step_strip, temporal_profile
from zvr_viz.curves import metric_curves
from zvr_viz.match_figures import figure5, figure10, match_map
from zvr_viz.matches import Box, Largest, Spaced
from zvr_viz.picture import Picture
from zvr_viz.profile import Cut
from zvr_viz.schedules import schedules
from zvr_viz.token_figures import similarity_map, token_layers

__all__ = [
    "Box",
    "Cut",
    "Largest",
    "Picture",
    "Spaced",
    "figure5",
    "figure10",
    "flow_figure",
    "match_map",
    "metric_curves",
    "schedules",
    "similarity_map",
    "step_strip",
    "temporal_profile",
    "token_layers",
]
