"""The photographs scenes are made of: those scikit-image ships (data/SOURCES.md names authors and licences)."""

from __future__ import annotations

from functools import cache

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from skimage.draw import polygon2mask

from zvr_core.errors import unknown

LOADERS = {
    "astronaut": skimage.data.astronaut,
    "chelsea": skimage.data.chelsea,
    "coffee": skimage.data.coffee,
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
    "rocket": skimage.data.rocket,
}

OUTLINES = {  # where the figure of a photograph ends: corners as x, y in pixels, kept 1 to 2 px inside it
    "astronaut": (
        (203, 24), (195, 30), (191, 36), (176, 44), (165, 52), (158, 60), (161, 85), (163, 88), (164, 107), (172, 116), (172, 120),
        (176, 127), (182, 132), (184, 150), (161, 151), (149, 155), (142, 159), (133, 168), (123, 184), (125, 204), (122, 207),
        (111, 208), (109, 212), (92, 228), (78, 236), (67, 247), (56, 268), (52, 272), (42, 295), (41, 307), (36, 316), (28, 343),
        (27, 375), (21, 391), (21, 409), (26, 431), (25, 459), (28, 483), (32, 494), (39, 501), (42, 513), (513, 513), (511, 501),
        (505, 498), (504, 487), (494, 470), (494, 465), (499, 458), (494, 453), (492, 427), (488, 411), (476, 385), (453, 362),
        (436, 353), (418, 347), (393, 346), (381, 347), (372, 350), (363, 349), (358, 344), (358, 329), (355, 324), (354, 303),
        (350, 288), (345, 282), (340, 267), (329, 254), (308, 238), (299, 227), (290, 208), (274, 188), (256, 174), (260, 162),
        (266, 147), (270, 136), (292, 110), (298, 91), (297, 73), (294, 67), (294, 59), (286, 44), (274, 32), (248, 20), (227, 18),
        (214, 23),
    ),
    "coffee": (
        (283, 18), (263, 20), (243, 25), (219, 36), (210, 42), (188, 64), (175, 90), (157, 98), (142, 107), (125, 120), (110, 135),
        (93, 159), (83, 182), (78, 205), (78, 234), (86, 266), (101, 295), (114, 312), (132, 330), (150, 344), (181, 362), (218, 376),
        (256, 384), (278, 385), (300, 386), (323, 383), (340, 381), (374, 371), (405, 356), (430, 338), (450, 317), (459, 304),
        (467, 289), (472, 276), (476, 254), (477, 224), (475, 212), (469, 192), (459, 171), (441, 146), (423, 128), (406, 115),
        (406, 104), (402, 88), (397, 77), (387, 62), (372, 47), (364, 41), (342, 29), (328, 24), (311, 20),
    ),
}  # fmt: skip

SMOOTH = 2  # sub-pixels a side that decide how much of a border pixel belongs to a figure


@cache
def photograph(name: str, reduce: int = 1) -> torch.Tensor:
    """Red, green, blue, opacity (here 1) of a photograph, (4, H, W) in [0, 1], `reduce` times smaller; ZvrError for unknown names."""
    if name not in LOADERS:
        raise unknown("photograph", name, LOADERS)
    colours = torch.from_numpy(LOADERS[name]()).permute(2, 0, 1).double() / 255  # (3, H, W)
    return reduced(torch.cat([colours, torch.ones_like(colours[:1])]), reduce)  # (4, H, W)


@cache
def figure(name: str, reduce: int = 1) -> torch.Tensor:
    """What a photograph shows, cut out along its outline, (4, H, W), `reduce` times smaller; ZvrError where no outline is known."""
    if name not in OUTLINES:
        raise unknown("figure", name, OUTLINES)
    image = photograph(name).clone()
    height, width = image.shape[1:]
    corners = (np.array(OUTLINES[name], dtype=float)[:, ::-1] + 0.5) * SMOOTH - 0.5  # y, x of sub-pixels
    fine = torch.from_numpy(polygon2mask((SMOOTH * height, SMOOTH * width), corners)).to(image)
    image[3:] = reduced(fine[None], SMOOTH)
    return reduced(image, reduce)


def reduced(image: torch.Tensor, factor: int) -> torch.Tensor:
    """Means of blocks of `factor` pixels a side, (C, H, W) to (C, H // factor, W // factor)."""
    return F.avg_pool2d(image, factor)
