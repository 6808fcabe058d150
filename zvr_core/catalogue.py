"""What there is to choose from, by name: readable without loading torch, so that a typing error answers at once."""

from __future__ import annotations

MODELS = {
    "embedded": "the small ×4 restorer that comes with zvr: 6.1 M parameters, runs on a CPU",
    "stabilityai/stable-diffusion-x4-upscaler": "×4 upscaler, 473 M parameters, from the Hub or a local folder (wants a GPU)",
}

METHODS = {
    "per_frame": "each frame by itself: the baseline that flickers",
    "shared_noise": "each frame by itself, all from the same noise",
    "latent_warping": "x0 warped along optical flow in the first steps",
    "flow_merging": "tokens merged along optical flow in the down blocks",
    "cosine_merging": "tokens merged by similarity in the up blocks",
    "diffir2vr": "warping, both mergings, padding removal, wavelet colour fix (Yeh et al. 2024)",
}

SAMPLERS = {
    "ddim": "deterministic (Song et al. 2021)",
    "ddpm": "DDIM with eta 1: fresh noise at every step",
    "spaced": "ancestral sampling on evenly spaced times: DiffIR2VR-Zero's sampler",
    "dpm++": "DPM-Solver++(2M), deterministic, second order (Lu et al. 2022)",
}

DEGRADATIONS = {
    "blur": "blur=1.2: Gaussian, standard deviation in pixels",
    "down": "down=4: antialiased bicubic reduction by a whole factor",
    "up": "up=2: bicubic enlargement by a whole factor",
    "noise": "noise=5: white Gaussian, standard deviation in 8-bit levels",
    "jpeg": "jpeg=60: quality 1 to 100",
    "boxes": "boxes=4: missing rectangles",
    "strokes": "strokes=4: missing strokes",
    "lowlight": "lowlight=0.3: gain 0 to 1, with noise",
    "realworld": "realworld=4: a random chain that ends 4 times smaller",
    "grey": "grey: no colour",
}

TABLES = {
    "1": "per frame and with the method on several degradations (Yeh et al. 2024, Table 1)",
    "2-left": "which matcher in the down and in the up blocks (Table 2, left)",
    "2-right": "when to warp latents and when to merge tokens (Table 2, right)",
    "4": "what merged tokens receive (Table 4)",
    "matchers": "every matcher: how often it is right, and what it does to the video",
}
