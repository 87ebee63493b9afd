"""The autoencoder: its vectors with all gradients, the error over hidden views, what a step may see."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from modest.completion import METHODS, Imagining, ae, hidden, only
from modest.encoders.towers import Tower
from modest.learning import Towers
from tests.completion.test_completions import NAMES, batch, build
from tests.completion.test_residual import part, vectors

DOUBLE = torch.float64
ORDER = "alv"  # of the fused vector in the release; its masks are in the order a, v, l
PLACES = {"module.0.": "0.", "module.3.": "2.", "fc_out.": "4."}


def renamed(found, prefix):
    """Weights of a fully connected net of the release, by the names of ``chain``."""
    weights = part(found, prefix)
    return {new + key.removeprefix(old): weights[key] for old, new in PLACES.items() for key in weights if old in key}


class Released(nn.Module):
    """Encoders and imagination with the weights of the vectors; zeros go through the encoders, as in the release."""

    def __init__(self, found, body):
        super().__init__()
        generator = torch.Generator()
        self.towers = nn.ModuleList()
        for letter in ORDER:
            net = renamed(found, f"w.{letter.upper()}.")
            own = Tower(found[letter].shape[1], len(net["4.bias"]), generator, (6, 5), DOUBLE)
            own.layers.load_state_dict(net)
            self.towers.append(own)
        body.load_state_dict(part(found, "w.AE."))
        widths = [found[letter].shape[1] for letter in ORDER]
        self.imagination = ae.Imagination(body, 15, widths, 4, (6, 5), generator, DOUBLE)
        for decoder, letter in zip(self.imagination.decoders, ORDER):
            decoder.load_state_dict(renamed(found, f"w.{2 * letter.upper()}."))
        self.imagination.head.load_state_dict(renamed(found, "w.C."))

    def gradients(self):
        """Gradients by the names of the release."""
        parts = {"AE.": self.imagination.body}
        gradients = {}
        back = {new: old for old, new in PLACES.items()}
        for m, letter in enumerate(ORDER.upper()):
            parts[f"{letter}."] = self.towers[m].layers
            parts[f"{2 * letter}."] = self.imagination.decoders[m]
        parts["C."] = self.imagination.head
        for name, module in parts.items():
            for key, value in module.named_parameters():
                place = key if name == "AE." else back[key[:2]] + key[2:]
                gradients[f"grad.{name}{place}"] = value.grad
        return gradients


def check_vectors(found, body):
    """Compare every key of the vectors of ae or cra."""
    released = Released(found, body)
    there = {letter: found["present_avl"][:, "avl".index(letter)].bool() for letter in ORDER}
    seen = [found[letter] * there[letter][:, None] for letter in ORDER]
    embedding = torch.cat([tower(x) for tower, x in zip(released.towers, seen)], dim=1)
    out = released.imagination(embedding)
    targets = ~torch.stack([there[letter] for letter in ORDER], dim=1)
    truth = [found[letter] for letter in ORDER]
    recon = {over: ae.missing_error(out.decoded, truth, targets, over) for over in ("batch", "rows")}
    each = [
        ae.missing_error([out.decoded[m]], [truth[m]], targets[:, m, None], "batch")
        for m in map(ORDER.index, "avl")
    ]  # fmt: skip
    ce, weight = cross_entropy(out.logits, found["y"]), found["recon_weight"]
    ours = {
        "embedding": embedding,
        "reconstruction": out.reconstruction,
        "latent": released.imagination.body(embedding)[1],
        **{f"decoded_{letter}": out.decoded[m] for m, letter in enumerate(ORDER)},
        "logits": out.logits,
        "loss_ce": ce,
        "loss_recon_official_batch_sum": recon["batch"],
        "loss_recon_per_sample": recon["rows"],
        "loss_recon_per_modality": torch.stack(each),
        "loss_total_official": ce + weight * recon["batch"],
        "loss_total_per_sample": ce + weight * recon["rows"],
    }
    ours["loss_total_official"].backward()
    ours |= released.gradients()
    given = {"a", "v", "l", "present_avl", "y", "ae_layers", "n_blocks", "recon_weight"}
    assert set(ours) == {key for key in found if key not in given and not key.startswith("w.")}
    for key, value in ours.items():
        np.testing.assert_allclose(value.detach(), found[key], rtol=0, atol=1e-8, err_msg=key)
    assert abs(ours["loss_total_official"] - ours["loss_total_per_sample"]) > 1  # the weight hangs on the batch's size


def test_vectors(shared):
    found = vectors(shared, "ae")
    check_vectors(found, ae.Autoencoder(15, found["ae_layers"].tolist(), torch.Generator(), DOUBLE))


def test_the_error_is_a_slow_loop():
    rng = np.random.default_rng(0)
    views = [(rng.normal(size=(7, d)), rng.normal(size=(7, d))) for d in (4, 3, 5)]
    targets = rng.random((7, 3)) < 0.4
    total = 0.0
    for i in range(7):
        for m, (ours, true) in enumerate(views):
            if targets[i, m]:
                total += sum((a - b) ** 2 for a, b in zip(ours[i], true[i])) / len(ours[i])
    decoded, truth = ([torch.from_numpy(pair[k]) for pair in views] for k in (0, 1))
    rows = ae.missing_error(decoded, truth, torch.from_numpy(targets))
    np.testing.assert_allclose(rows, total / 7, rtol=1e-12)
    np.testing.assert_allclose(ae.missing_error(decoded, truth, torch.from_numpy(targets), "batch"), total, rtol=1e-12)
    twice = ae.missing_error(
        [torch.cat([x, x]) for x in decoded], [torch.cat([x, x]) for x in truth], torch.from_numpy(targets).repeat(2, 1)
    )
    np.testing.assert_allclose(twice, rows, rtol=1e-12)  # the weight does not depend on the batch's size
    with pytest.raises(ValueError, match="over"):
        ae.missing_error(decoded, truth, torch.from_numpy(targets), "cells")


@pytest.mark.parametrize("method", ["ae", "cra"])
class TestBoth:
    def loss(self, recipe, one, seed=0):
        torch.manual_seed(seed)
        [(group, loss)] = recipe.turns(one)
        assert group == "all"
        return loss

    def test_targets_are_views_that_a_step_hides(self, method):
        one, recipe = batch(), build(method, {"share": 1.0, "weight": 0.7})
        torch.manual_seed(0)
        kept = ae.draw(one.present, 1.0)
        out = recipe.found(hidden(one, kept))
        expected = cross_entropy(out.logits, one.y)
        for i in range(len(one)):
            for m in range(3):
                if one.present[i, m] and not kept[i, m]:
                    true = (one.x[m][i] - 0.3 * (m + 1)) / 1.5
                    expected = expected + 0.7 * (out.decoded[m][i] - true).square().mean() / len(one)
        torch.testing.assert_close(self.loss(recipe, one), expected)

    def test_hidden_views_are_not_seen_and_absent_ones_are_no_targets(self, method):
        one, recipe = batch(), build(method, {"share": 1.0, "weight": 0.0})
        torch.manual_seed(0)
        kept = ae.draw(one.present, 1.0)
        other = replace(one, x=tuple(torch.where(kept[:, m, None], x, x + 9.0) for m, x in enumerate(one.x)))
        assert torch.equal(self.loss(recipe, one), self.loss(recipe, other))
        recipe.weight = 1.0
        assert (self.loss(recipe, one) - self.loss(recipe, other)).abs() > 1
        absent = replace(one, x=tuple(torch.where(one.present[:, m, None], x, x + 9.0) for m, x in enumerate(one.x)))
        assert torch.equal(self.loss(recipe, one), self.loss(recipe, absent))

    def test_without_a_target_the_loss_is_the_cross_entropy(self, method):
        recipe, one = build(method), batch()
        alone = replace(one, present=torch.eye(3, dtype=torch.bool)[torch.arange(len(one)) % 3])
        alone = hidden(alone, alone.present)
        torch.testing.assert_close(self.loss(recipe, alone), cross_entropy(recipe.found(alone).logits, alone.y))
        free = build(method, {"share": 0.0})
        torch.testing.assert_close(self.loss(free, one), cross_entropy(free.found(one).logits, one.y))

    def test_without_weight_nothing_reaches_the_decoders(self, method):
        for weight in (0.0, 0.5):
            recipe, one = build(method, {"weight": weight}), batch()
            self.loss(recipe, one).backward()
            reached = [bool(p.grad.abs().sum() > 0) for p in recipe.imagination.decoders.parameters()]
            assert any(reached) == (weight > 0)
            assert all(bool(p.grad.abs().sum() > 0) for p in recipe.imagination.head[-2].parameters())

    def test_imagined_views_are_learnt_in_their_standardised_space(self, method):
        """Views that are copies of one another: their decoders find them, far better than their mean."""
        recipe = build(method, {"weight": 5.0, "share": 0.7}, widths=(3, 3, 3))
        assert isinstance(recipe, Imagining)
        rng = torch.Generator().manual_seed(0)
        x = torch.randn(64, 3, generator=rng, dtype=DOUBLE)
        ones = torch.ones(64, 3, dtype=torch.bool)
        one = replace(batch(n=64), x=(x, x * 2 + 1, -x), present=ones)
        for m, tower in enumerate(recipe.towers.encoders):
            tower.standardise(one.x[m].mean(dim=0), one.x[m].std(dim=0, correction=0))
        optimiser = torch.optim.Adam([p for p in recipe.net.parameters() if p.requires_grad], lr=2e-2)
        for step in range(100):
            loss = self.loss(recipe, one, step)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        for m in range(3):
            kept = ones.clone()
            kept[:, m] = False
            imagined, truth = recipe.imagined(hidden(one, kept), m), recipe.truth(one, m)
            torch.testing.assert_close(truth, (one.x[m] - one.x[m].mean(dim=0)) / one.x[m].std(dim=0, correction=0))
            assert (imagined - truth).square().mean() < 0.3 * truth.square().mean()

    def test_what_is_said_is_said_of_the_reconstruction(self, method):
        recipe, one = build(method), batch()
        said = recipe.logits(one)
        blocks = recipe.towers.blocks(one)
        reconstruction = recipe.imagination.body(torch.cat([blocks[0], blocks[1], blocks[2]], dim=1))[0]
        torch.testing.assert_close(said.fused, recipe.imagination.head(reconstruction))
        assert said.fused.shape == (14, 3)
        for m, d in enumerate((4, 3, 5)):
            assert recipe.imagined(one, m).shape == (14, d)
            alone = recipe.found(only(one, m)).logits[one.present[:, m]]
            torch.testing.assert_close(said.modality[m][one.present[:, m]], alone)
            assert not torch.allclose(alone, said.fused[one.present[:, m]])

    def test_layers_are_multiples_of_the_width(self, method):
        body = build(method, {"layers": (1.5, 0.5)}).imagination.body
        encoder = body.get_submodule("encoder" if method == "ae" else "encoder_0")
        assert [encoder[place].weight.shape for place in (0, 2)] == [(9, 18), (3, 9)]
        for inner, shapes in (((), [(3, 18)]), ((1.5, 0.5), [(9, 18), (3, 9), (3, 3)])):
            made = build(method, {"hidden": inner}).imagination
            assert [part.weight.shape for part in made.head if hasattr(part, "weight")] == shapes
            decoding = [part.weight.shape for part in made.decoders[2] if hasattr(part, "weight")]
            assert decoding == [*shapes[:-1], (5, shapes[-1][1])]

    @pytest.mark.parametrize(
        "options",
        [
            {"weight": -1.0},
            {"weight": float("nan")},
            {"share": 1.5},
            {"layers": ()},
            {"layers": (1.0, 0.0)},
            {"hidden": (0.0,)},
        ],
    )
    def test_options_out_of_range_are_refused(self, method, options):
        with pytest.raises(ValueError, match=rf"options\['{next(iter(options))}'\]"):
            build(method, options)

    def test_one_view_alone_and_raw_media_are_refused(self, method):
        with pytest.raises(ValueError, match="one only"):
            build(method, widths=(4,))
        raw = Towers([nn.Linear(4, 6), nn.Linear(3, 6), nn.Linear(5, 6)], 6)
        with pytest.raises(ValueError, match="raw media"):
            METHODS[method].build(raw, NAMES, 3, torch.Generator())


def test_sizes_are_rounded_and_never_zero():
    assert ae.sizes((2.0, 0.5, 0.01), 6) == [12, 3, 1]
