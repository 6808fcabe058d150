import pytest
import torch
from twins import x4_unet

from zvr_core.attention import Edited, attach, find_sites, is_self_attention, site_name, without_padding

SIZE = (15, 27)  # half of it is 8 × 14 tokens in a grid of 8 × 14, but 15 × 27 cells stand in a grid of 16 × 28


def run(model, frames=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(frames, *model.latent_shape(SIZE), generator=rng)
    lq = torch.rand(frames, 3, *SIZE, generator=rng)
    condition = model.encode(lq, lambda purpose, shape: torch.zeros(frames, *shape))
    with torch.no_grad():
        return model.predict(x, 500, 0.3, condition).out


def identity(hidden):
    return Edited(hidden, lambda output: output)


def test_sites_of_the_embedded_model(embedded):
    sites = embedded.sites((32, 64))
    assert [s.name for s in sites] == ["down.1.0", "down.2.0", "up.0.0", "up.0.1", "up.1.0", "up.1.1"]
    assert [s.cell for s in sites] == [8, 16, 16, 16, 8, 8]
    assert [s.grid for s in sites[:2]] == [(16, 32), (8, 16)]


def test_a_token_that_shows_any_of_the_picture_is_valid(embedded):
    down = embedded.sites(SIZE)[0]
    assert (down.grid, down.padded) == ((8, 14), (8, 14))
    small = embedded.sites((5, 9))
    assert [(s.grid, s.padded) for s in small[:2]] == [((3, 5), (4, 6)), ((2, 3), (2, 3))]


def test_queries_of_text_are_not_taken_for_self_attention():
    """In the ×4 upscaler ten of sixteen `attn1` attend to text."""
    unet = x4_unet()
    found = [path for path, module in unet.named_modules() if is_self_attention(module)]
    assert len(found) == 6
    assert all(path.startswith(("down_blocks.3", "mid_block", "up_blocks.0")) for path in found)


def test_sites_of_the_x4_upscaler():
    with torch.device("meta"):
        unet = x4_unet()
        x, text, label = torch.zeros(1, 7, 24, 40), torch.zeros(1, 8, 32), torch.zeros(1, dtype=torch.long)
        sites = find_sites(unet, lambda: unet(x, torch.zeros(()), text, label), (24, 40), (24, 37), 4)
    assert [s.name for s in sites] == ["down.3.0", "down.3.1", "mid.0.0", "up.0.0", "up.0.1", "up.0.2"]
    assert {s.grid for s in sites} == {(3, 5)}
    assert {s.cell for s in sites} == {32}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("down_blocks.1.attentions.0.transformer_blocks.0.attn1", "down.1.0"),
        ("mid_block.attentions.0.transformer_blocks.0.attn1", "mid.0.0"),
        ("up_blocks.2.attentions.1.transformer_blocks.3.attn1", "up.2.1.3"),
    ],
)
def test_short_names(path, name):
    assert site_name(path) == name


def test_identity_edits_change_nothing(embedded):
    sites = embedded.sites(SIZE)
    plain = run(embedded)
    with attach(embedded.network, {s.path: identity for s in sites}):
        assert torch.equal(run(embedded), plain)


def test_a_detached_hook_leaves_the_model_bit_for_bit_as_it_was(embedded):
    sites, before = embedded.sites(SIZE), run(embedded)
    with (
        attach(embedded.network, {s.path: lambda h: Edited(h * 0, lambda o: o + 1) for s in sites}),
        without_padding(embedded.network, sites),
    ):
        assert not torch.equal(run(embedded), before)
    assert torch.equal(run(embedded), before)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in embedded.network.modules())


def test_hooks_go_when_the_network_fails(embedded):
    def failing(hidden):
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), attach(embedded.network, {embedded.sites(SIZE)[0].path: failing}):
        run(embedded)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in embedded.network.modules())


def test_edits_see_picture_tokens_only(embedded):
    size = (5, 9)
    sites, seen = embedded.sites(size), {}
    x = torch.zeros(1, *embedded.latent_shape(size))
    condition = embedded.encode(torch.rand(1, 3, *size), lambda purpose, shape: torch.zeros(1, *shape))

    def look(path):
        return lambda hidden: Edited(seen.setdefault(path, hidden), lambda output: output)

    with without_padding(embedded.network, sites), attach(embedded.network, {s.path: look(s.path) for s in sites}):
        embedded.predict(x, 500, 0.3, condition)
    assert all(seen[s.path].shape[1] == s.tokens for s in sites)


def test_padded_tokens_bypass_the_block(embedded):
    """The block's output at padding is its input; elsewhere it does not depend on what the padding holds."""
    site = next(s for s in embedded.sites((5, 9)) if s.grid != s.padded)
    block = embedded.network.get_submodule(site.path.rpartition(".")[0])
    rng = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, site.padded[0] * site.padded[1], site.channels, generator=rng)
    inside = torch.zeros(site.padded, dtype=torch.bool)
    inside[: site.grid[0], : site.grid[1]] = True
    inside = inside.flatten()
    other = torch.where(inside[None, :, None], hidden, torch.randn(hidden.shape, generator=rng))
    text = torch.zeros(2, 1, 8)
    with without_padding(embedded.network, [site]), torch.no_grad():
        out, out_other = (block(h, encoder_hidden_states=text) for h in (hidden, other))
    assert torch.equal(out[:, ~inside], hidden[:, ~inside])
    assert torch.equal(out[:, inside], out_other[:, inside])
