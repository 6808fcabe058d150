"""Trains the embedded ×4 restorer: a small diffusion UNet on photographs, from one command, resumable and seeded.

    python data/embedded/train.py --photos PHOTOS --out runs/embedded

The list of photographs is frozen in `training_files.txt` (name, SHA-256, split): a file that is not on it is never read, and one
that has changed stops the run.  `--list` makes such a list from a folder.  Each step draws its crops, degradations, times and
noise from a generator seeded with (seed, step), so a resumed run goes on exactly where it was cut off.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from widen import widen

from zvr_core.attention import is_self_attention
from zvr_core.degrade import blur, downscale, jpeg, noise
from zvr_core.models.codec import ResidualDCT, dct_matrix, upsample

HERE = Path(__file__).parent
CROPS = {64: (32, 0.5), 96: (14, 0.25), 128: (8, 0.15), 192: (4, 0.1)}  # pixels a side: (crops in a batch, probability)
MARGIN = 16  # pixels around a crop, so that blur and downscale see past its border
KEPT = [(0, 1, 0), (0, 0, 1), (0, 0, 0), (0, 1, 1), (0, 2, 0), (0, 0, 2), (0, 1, 2), (0, 2, 1), (1, 0, 0), (2, 0, 0), (0, 3, 0),
        (0, 0, 3), (0, 2, 2), (1, 1, 0), (1, 0, 1), (0, 1, 3)]  # fmt: skip  # the 16 of largest variance, measured on the photographs


def build_unet(width: int) -> UNet2DConditionModel:
    """Self-attention at half and quarter of the latent grid, down and up; no middle block (it was ignored); 6.1 M parameters at 64.

    `width` counts the channels of the finest level.  A network that starts with 64 there does all the work in them, and the
    levels that attend learn nothing; one that starts with 32 attends, but its texture stays too soft.  So it starts thin and is
    widened when it attends (`widen.py`).
    """
    return UNet2DConditionModel(
        sample_size=64, in_channels=len(KEPT) + 3, out_channels=len(KEPT), block_out_channels=(width, 112, 160), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), mid_block_type=None,
        time_embedding_dim=128, attention_head_dim=(1, 1, 2), cross_attention_dim=8, norm_num_groups=16, use_linear_projection=True,
    )  # fmt: skip


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, so that "the first tenth of the steps" means the same; x0 prediction, nothing clipped."""
    return DDIMScheduler(1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="sample",
                         clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing")  # fmt: skip


@torch.no_grad()
def start_with_high_pass(unet: UNet2DConditionModel, lq: torch.Tensor) -> None:
    """Makes 12 of the first layer's filters high-pass 3×3 DCT filters of the input, each with unit response on `lq`.

    What is missing in the input hides in its high frequencies, a hundred times weaker than the noise in x_t; with the usual
    start the first layer needs thousands of steps to amplify them.
    """
    colour, patch = dct_matrix(3).float(), dct_matrix(3).float()
    frequencies = [(c, v, u) for c in range(3) for v in range(3) for u in range(3) if v + u > 0 and (c == 0 or v + u == 1)]
    filters = torch.stack([torch.einsum("a,b,d->abd", colour[c], patch[v], patch[u]) for c, v, u in frequencies])  # (12, 3, 3, 3)
    std = F.conv2d(lq * 2 - 1, filters).std((0, 2, 3))
    unet.conv_in.weight[: len(filters)] = 0
    unet.conv_in.weight[: len(filters), -3:] = (filters / std[:, None, None, None]).to(unet.device)


@torch.no_grad()
def start_as_non_local_means(unet: UNet2DConditionModel) -> None:
    """Makes each self-attention start as non-local means (Buades et al. 2005): a token averages the tokens that look like it.

    With the usual start attention is a plain mean over the picture, and the network learned to do without: after 600 steps
    switching it off changed nothing.
    """
    for module in unet.modules():
        if is_self_attention(module):
            for linear in (module.to_q, module.to_k, module.to_v):
                torch.nn.init.eye_(linear.weight)
            torch.nn.init.eye_(module.to_out[0].weight).mul_(0.5)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def freeze_list(photos: Path, target: Path, held_out_every: int = 20) -> None:
    """Writes the frozen list: every 20th photograph is held out for validation."""
    names = sorted(p.relative_to(photos).as_posix() for p in photos.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    rows = [f"{digest(photos / n)} {'val' if i % held_out_every == 0 else 'train'} {n}" for i, n in enumerate(names)]
    target.write_text("\n".join(rows) + "\n")


def load_photos(photos: Path, listing: Path, split: str) -> list[torch.Tensor]:
    """The photographs of one split as uint8 tensors (3, H, W), each also at 0.6 of its size (finer texture per pixel)."""
    images = []
    for row in listing.read_text().splitlines():
        sha, row_split, name = row.split(" ", 2)
        if row_split != split:
            continue
        if digest(photos / name) != sha:
            raise SystemExit(f"train: {photos / name} is not the file of the frozen list; restore it, or freeze a new list with --list")
        with Image.open(photos / name) as picture:
            full = picture.convert("RGB")
        small = full.resize((round(full.width * 0.6), round(full.height * 0.6)), Image.Resampling.LANCZOS)
        for image in (full, small):
            if min(image.size) >= max(CROPS) + 2 * MARGIN:
                images.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))  # (3, H, W)
    return images


def draw_crops(images: list[torch.Tensor], size: int, count: int, rng: torch.Generator) -> torch.Tensor:
    """Random crops with margin, flipped and turned at random, (count, 3, size + 2·MARGIN, …) in [0, 1]."""
    crops = []
    for _ in range(count):
        image = images[int(torch.randint(len(images), (), generator=rng))]
        side = size + 2 * MARGIN
        top = int(torch.randint(image.shape[1] - side + 1, (), generator=rng))
        left = int(torch.randint(image.shape[2] - side + 1, (), generator=rng))
        crop = image[:, top : top + side, left : left + side]
        turns = int(torch.randint(8, (), generator=rng))
        crop = torch.rot90(crop, turns % 4, (1, 2))
        crops.append(crop.flip(2) if turns >= 4 else crop)
    return torch.stack(crops).float() / 255


def draw_degraded(hq: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Random blur, ×4 downscale, noise and (one batch in ten) JPEG; returns (hq, lq) with the margin cropped, lq in 8-bit steps."""
    n = hq.shape[0]
    lq = downscale(blur(hq, 0.6 + 1.2 * torch.rand(n, generator=rng)), 4)
    strength = torch.rand(n, generator=rng)
    sigma = torch.where(strength < 0.9, strength * 9, 8 + (strength - 0.9) * 120) / 255  # mostly below 8/255, with a tail to 20/255
    lq = noise(lq, sigma, rng)
    if torch.rand((), generator=rng) < 0.1:
        lq = jpeg(lq.clamp(0, 1), 50 + 45 * torch.rand(n, generator=rng))
    m = MARGIN // 4
    lq = (lq[..., m:-m, m:-m].clamp(0, 1) * 255).round() / 255
    return hq[..., MARGIN:-MARGIN, MARGIN:-MARGIN], lq


def draw_batch(images: list[torch.Tensor], seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Generator]:
    """The batch of a step: a pure function of (seed, step)."""
    rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
    sizes = list(CROPS)
    size = sizes[int(torch.multinomial(torch.tensor([CROPS[s][1] for s in sizes]), 1, generator=rng))]
    hq, lq = draw_degraded(draw_crops(images, size, CROPS[size][0], rng), rng)
    return hq, lq, rng


def measure_std(images: list[torch.Tensor], seed: int) -> tuple[float, ...]:
    """The standard deviation of each kept coefficient over 60 batches."""
    raw = ResidualDCT(tuple(KEPT), (1.0,) * len(KEPT))
    latents = [raw.encode(*draw_batch(images, seed + 1, i)[:2]).transpose(0, 1).flatten(1) for i in range(60)]
    return tuple(round(float(s), 5) for s in torch.cat(latents, 1).std(1))


class Cycle(NamedTuple):
    """One cycle of the learning rate: from step `begin` to step `end`, with `width` channels at the finest level."""

    begin: int
    end: int
    width: int


def parse_cycles(values: list[str]) -> list[Cycle]:
    """`END:WIDTH …` as cycles, each beginning where the one before ends."""
    pairs = [tuple(map(int, value.split(":"))) for value in values]
    return [Cycle(begin, end, width) for begin, (end, width) in zip([0, *(end for end, _ in pairs)], pairs, strict=False)]


def learning_rate(step: int, cycle: Cycle, args: argparse.Namespace) -> float:
    """In each cycle warm-up, constant, then a cosine to zero over its last part (warm restarts: Loshchilov & Hutter 2017).

    A run can be lengthened by a longer cycle until the last part of that cycle begins, and by a further cycle at any time.
    """
    start = cycle.end - (cycle.end - cycle.begin) * args.cooldown
    down = 1.0 if step < start else 0.5 + 0.5 * math.cos(math.pi * (step - start) / (cycle.end - start))
    return args.lr * min(1.0, (step - cycle.begin + 1) / 300) * down


def loss_of(unet: torch.nn.Module, codec: ResidualDCT, scheduler: DDIMScheduler, batch: tuple, args: argparse.Namespace) -> torch.Tensor:
    """Squared error of the x0 prediction, weighted by min(1 / (1 − ᾱ), 6) and by each coefficient's standard deviation."""
    hq, lq, rng = batch
    x0 = codec.encode(hq, lq)
    u = torch.rand(2, len(x0), generator=rng)
    t = torch.where(u[0] < 0.2, 900 + 100 * u[1], 1000 * u[1]).long().clamp(max=999)  # a fifth near pure noise: for the posterior mean
    eps = torch.randn(x0.shape, generator=rng)
    x0, t, eps, lq = (v.to(args.device) for v in (x0, t, eps, lq))
    x_t = scheduler.add_noise(x0, eps, t)
    text = torch.zeros(len(x0), 1, 8, device=args.device)
    with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
        out = unet(torch.cat([x_t, lq * 2 - 1], 1), t, text).sample
    by_time = (1 / (1 - scheduler.alphas_cumprod.to(args.device)[t])).clamp(max=6.0)[:, None, None, None]
    by_channel = torch.tensor(codec.std, device=args.device)[None, :, None, None]
    return (by_time * by_channel / by_channel.mean() * (out.float() - x0).square()).mean()


class Training:
    """What changes from step to step: the network, its averaged weights (EMA 0.999) and the optimizer's state."""

    def __init__(self, unet: UNet2DConditionModel, args: argparse.Namespace):
        self.args = args
        self.unet = unet.to(args.device)
        self.ema = {k: v.detach().clone() for k, v in self.unet.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)

    @property
    def width(self) -> int:
        return self.unet.config.block_out_channels[0]

    def widened(self) -> Training:
        """The same network with twice the channels at its finest level; the optimizer starts anew."""
        unet = build_unet(2 * self.width)
        weights, averaged = (
            widen(v, unet, torch.Generator().manual_seed(self.args.seed)) for v in (self.unet.state_dict(), self.ema)
        )  # the same shares for both
        unet.load_state_dict(weights)
        wide = Training(unet, self.args)
        wide.ema = averaged
        return wide

    def step(self, step: int, loss: torch.Tensor, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimizer.step()
        torch._foreach_lerp_(list(self.ema.values()), list(self.unet.state_dict().values()), 1 - min(0.999, (1 + step) / (10 + step)))

    def save(self, step: int) -> None:
        """Writes everything a resumed run needs, as safetensors, by rename: a cut never leaves half a file."""
        tensors = {f"model.{k}": v for k, v in self.unet.state_dict().items()} | {f"ema.{k}": v for k, v in self.ema.items()}
        for name, p in self.unet.named_parameters():
            state = self.optimizer.state[p]
            tensors |= {f"mean.{name}": state["exp_avg"], f"square.{name}": state["exp_avg_sq"]}
        metadata = {"step": str(step), "updates": str(int(state["step"]))}  # of this optimizer: fewer than steps once widened
        partial = self.args.out / "checkpoint.partial"
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial, metadata=metadata)
        partial.rename(self.args.out / "checkpoint.safetensors")

    @classmethod
    def load(cls, args: argparse.Namespace) -> tuple[Training, int]:
        """The training that `out/checkpoint.safetensors` holds, and its step."""
        tensors = load_file(args.out / "checkpoint.safetensors")
        with safe_open(args.out / "checkpoint.safetensors", framework="pt") as file:
            step, updates = (int(file.metadata()[key]) for key in ("step", "updates"))
        training = cls(build_unet(tensors["ema.conv_in.weight"].shape[0]), args)
        training.unet.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        for k in training.ema:
            training.ema[k].copy_(tensors[f"ema.{k}"])
        for name, p in training.unet.named_parameters():
            mean, square = (torch.empty_like(p).copy_(tensors[f"{kind}.{name}"]) for kind in ("mean", "square"))
            training.optimizer.state[p] = {"step": torch.tensor(float(updates)), "exp_avg": mean, "exp_avg_sq": square}
        return training, step


@torch.no_grad()
def validate(unet: torch.nn.Module, codec: ResidualDCT, images: list[torch.Tensor], args: argparse.Namespace) -> float:
    """PSNR gain over bicubic, in dB, of the one-step posterior mean on held-out crops."""
    gains = []
    for i in range(6):
        hq, lq, rng = draw_batch(images, args.seed + 2, i)
        x_t = torch.randn((len(hq), codec.channels, *lq.shape[-2:]), generator=rng)
        text = torch.zeros(len(hq), 1, 8, device=args.device)
        x0 = unet(torch.cat([x_t, lq * 2 - 1], 1).to(args.device), 999, text).sample.float().cpu()
        error = [(v.clamp(0, 1) - hq).square().mean((1, 2, 3)) for v in (upsample(lq, 4), codec.decode(x0, lq))]
        gains.append(10 * torch.log10(error[0] / error[1]))
    return float(torch.cat(gains).mean())


def export(out: Path, averaged: UNet2DConditionModel, codec: ResidualDCT, scheduler: DDIMScheduler) -> None:
    """Writes the averaged weights (float16 on disk: the output changes by 0.05 %) as a diffusers folder under `out/model`."""
    averaged.half().save_pretrained(out / "model" / "unet")
    scheduler.save_pretrained(out / "model" / "scheduler")
    codec.save(out / "model" / "codec")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--out", type=Path, default=Path("runs/embedded"), help="checkpoint, log and model; a checkpoint is resumed")
    parser.add_argument("--listing", type=Path, default=HERE / "training_files.txt", help="the frozen list of training files")
    parser.add_argument("--list", action="store_true", help="freeze the list from the folder and stop")
    parser.add_argument(
        "--cycles",
        nargs="+",
        default=["5200:32", "10000:32", "13600:64"],
        metavar="END:WIDTH",
        help="for each cycle of the learning rate the step it ends at and the channels of the finest level",
    )
    parser.add_argument("--cooldown", type=float, default=0.25, help="share of each cycle over which the learning rate falls to zero")
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast: only where the processor has it (AMX, CUDA)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's choice")
    parser.add_argument("--save-every", type=float, default=300, help="seconds between checkpoints")
    args = parser.parse_args()
    args.cycles = parse_cycles(args.cycles)
    if args.list:
        freeze_list(args.photos, args.listing)
        return
    if args.threads:
        torch.set_num_threads(args.threads)
    train(args)


def begin(images: list[torch.Tensor], args: argparse.Namespace) -> tuple[Training, int]:
    """The training of the checkpoint, or a new one with the two starts that are not usual, and its step."""
    if (args.out / "checkpoint.safetensors").exists():
        return Training.load(args)
    unet = build_unet(args.cycles[0].width)
    start_as_non_local_means(unet)
    start_with_high_pass(unet, draw_batch(images, args.seed, 0)[1])
    return Training(unet, args), 0


def train(args: argparse.Namespace) -> None:
    """Runs from the last checkpoint, or from the start, to the end of the last cycle, and exports the averaged weights."""
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    images, held_out = (load_photos(args.photos, args.listing, split) for split in ("train", "val"))
    scheduler, codec = build_scheduler(), ResidualDCT(tuple(KEPT), measure_std(images, args.seed))
    training, first = begin(images, args)
    saved, losses, last = time.monotonic(), [], args.cycles[-1].end
    bar = tqdm(range(first, last), initial=first, total=last, unit="step", mininterval=5)
    for step in bar:
        cycle = next(c for c in args.cycles if step < c.end)
        if training.width < cycle.width:
            training = training.widened()
        loss = loss_of(training.unet, codec, scheduler, draw_batch(images, args.seed, step), args)
        training.step(step, loss, learning_rate(step, cycle, args))
        losses.append(float(loss))
        bar.set_postfix(loss=f"{sum(losses[-100:]) / len(losses[-100:]):.4f}", refresh=False)
        if time.monotonic() - saved > args.save_every or step + 1 == last:
            training.save(step + 1)
            averaged = build_unet(training.width).to(args.device)
            averaged.load_state_dict(training.ema)
            row = {"step": step + 1, "loss": sum(losses[-500:]) / len(losses[-500:]), "gain_dB": validate(averaged, codec, held_out, args)}
            export(args.out, averaged, codec, scheduler)
            with (args.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            saved = time.monotonic()


if __name__ == "__main__":
    main()
