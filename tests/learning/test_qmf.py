"""QMF through the one loop against vectors, slow loops and finite differences; its history, absence, resuming."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from modest.learning import METHODS, Towers
from modest.learning.qmf import Options, confidence, difficulty, fuse, rank_losses, ranking
from modest.training import Batch, Kept, Plan
from modest.training.fit import fit
from tests.learning.test_ogm_ge import Given, close, same, trained
from tests.learning.test_recipes import N, batch, build

RELEASES = {
    "text_image": {"update": "before", "detach": True, "weight": 1.0},
    "rgbd": {"update": "after", "detach": False, "weight": 0.1},
}


@pytest.fixture(scope="module")
def vectors(shared):
    return np.load(shared / "reference/learning/qmf.npz", allow_pickle=False)


class Table(nn.Module):
    """A row of numbers for every item: its gradient is that of the logits."""

    def __init__(self, rows):
        super().__init__()
        self.rows = nn.Parameter(torch.from_numpy(rows.copy()))

    def forward(self, x):
        return self.rows[x[:, 0].long()]


def recipe_of(logits, **options):
    """A recipe whose own logits are ``logits`` (M, k, C), whatever its heads, of items that are their numbers."""
    M, _, C = logits.shape
    towers = Towers([Table(own) for own in logits], C)
    recipe = METHODS["qmf"].build(towers, list("abc"[:M]), C, torch.Generator().manual_seed(0), options)
    for head in recipe.heads:
        nn.init.eye_(head.weight)
        nn.init.zeros_(head.bias)
    return recipe


def driven(vectors, release, **options):
    """Three batches of the vectors through the loop; per batch the loss, gradients of logits, and history after it."""
    M, count, n, C = vectors["logits"].shape
    recipe = recipe_of(vectors["logits"].reshape(M, count * n, C), **{**RELEASES[release], **options})
    recipe.load_state({"history": torch.from_numpy(vectors["history0"])})
    given = Given()
    for b in range(count):
        items = torch.arange(b * n, (b + 1) * n, dtype=torch.float64)[:, None]
        y, rows = torch.from_numpy(vectors["y"][b]), torch.from_numpy(vectors["index"][b])
        given.append(Batch((items,) * M, torch.ones(n, M, dtype=torch.bool), y, b, count, 0, rows))
    losses, slopes, histories = [], [], []
    for b, record in enumerate(fit(recipe.stages(), given, Plan(epochs=1, lr=1e-30, optimizer="sgd", momentum=0.0))):
        if "turn" in record.values:
            losses.append(record.values["loss"])
            slopes.append(np.stack([e.rows.grad[b * n : (b + 1) * n].numpy() for e in recipe.towers.encoders]))
            histories.append(recipe.history.numpy().copy())
    return recipe, given, np.array(losses), np.stack(slopes), np.stack(histories)


@pytest.mark.parametrize("rank", ["paper", "released"])
@pytest.mark.parametrize("release", RELEASES)
def test_the_loop_gives_losses_gradients_and_history_of_the_vectors(vectors, release, rank):
    suffix = {"paper": "paper", "released": "official"}[rank]
    recipe, given, losses, slopes, histories = driven(vectors, release, rank=rank)
    close(losses, vectors[f"{release}_total_{suffix}"])
    close(slopes, vectors[f"{release}_grad_logits_{suffix}"])
    close(histories, vectors[f"{release}_history"])
    close(np.stack([recipe.logits(one).fused.detach().numpy() for one in given]), vectors[f"{release}_fused"])


@pytest.mark.parametrize("release", RELEASES)
def test_the_parts_match_the_vectors(vectors, release):
    logits, y, index = (torch.from_numpy(vectors[key]) for key in ("logits", "y", "index"))
    history = torch.from_numpy(vectors["history0"])
    for b in range(3):
        own = logits[:, b]
        c = confidence(own)
        close(c, vectors[f"{release}_confidence"][b])
        each = torch.stack([nn.functional.cross_entropy(z, y[b], reduction="none") for z in own])
        close(each, vectors[f"{release}_sample_loss"][b])
        close(each.mean(dim=1), vectors[f"{release}_ce_unimodal"][b])
        fused = fuse(own, torch.ones(7, 2, dtype=torch.bool))[0]
        close(nn.functional.cross_entropy(fused, y[b]), vectors[f"{release}_ce_joint"][b])
        after = torch.from_numpy(vectors[f"{release}_history"][b])
        for m in range(2):
            kappa = difficulty((after if release == "text_image" else history)[m], index[b])
            close(kappa, vectors[f"{release}_kappa"][b, m])
            target, margin = ranking(kappa)
            close(target, vectors[f"{release}_rank_target"][b, m])
            close(margin, vectors[f"{release}_rank_margin"][b, m])
            close(rank_losses(c[m], kappa).mean(), vectors[f"{release}_rank_loss_paper"][b, m])
            close(rank_losses(c[m], kappa, "released").mean(), vectors[f"{release}_rank_loss_official"][b, m])
        history = after


def test_differs_from_the_released_rank_term(vectors):
    """It is nearly dead there."""
    for release in RELEASES:
        assert (driven(vectors, release)[2] - vectors[f"{release}_total_official"] > 0.03).all()
        assert vectors[f"{release}_rank_loss_paper"].mean() > 20 * vectors[f"{release}_rank_loss_official"].mean()


def test_ties(vectors):
    kappa = difficulty(torch.from_numpy(vectors["tie_history"]), torch.arange(7))
    c = torch.from_numpy(vectors["tie_confidence"])
    target, margin = ranking(kappa)
    close(target, vectors["tie_rank_target"])
    close(margin, vectors["tie_rank_margin"])
    close(rank_losses(c, kappa), vectors["tie_pair_loss_paper"])
    close(rank_losses(c, kappa, "released"), vectors["tie_pair_loss_official"])


def test_three_modalities_and_masked_fusion(vectors):
    own, all_there = torch.from_numpy(vectors["m3_logits"]), torch.ones(7, 3, dtype=torch.bool)
    present = torch.from_numpy(vectors["m3_present"]).bool()
    close(confidence(own), vectors["m3_confidence"])
    close(fuse(own, all_there)[0], vectors["m3_fused"])
    fused, weights = fuse(own, present)
    close(fused, vectors["m3_fused_masked"])
    c = vectors["m3_confidence"].T * vectors["m3_present"]
    close(weights, c / c.sum(axis=1, keepdims=True))
    recipe = recipe_of(vectors["m3_logits"])
    items = (torch.arange(7, dtype=torch.float64)[:, None],) * 3
    found = recipe.logits(Batch(items, present))
    close(found.fused, vectors["m3_fused_masked"])
    close(found.modality, vectors["m3_logits"] * vectors["m3_present"].T[:, :, None])


def test_an_equal_history_is_all_ties():
    """The first batch of all, where the release has 0 / 0: no rank term, and finite numbers."""
    assert difficulty(torch.full((4,), 2.0), torch.arange(3)).tolist() == [0.0, 0.0, 0.0]
    one = Batch(*[getattr(batch(), key) for key in ("x", "present", "y")], rows=torch.arange(N))
    with_it, without = (build("qmf", {"weight": w}) for w in (1.0, 0.0))
    (_, a), (_, b) = next(with_it.turns(one)), next(without.turns(one))
    assert torch.equal(a, b)


def slow_total(own, present, y, rows, history, options):
    """The loss of a batch, row by row; history (M, {row: loss}) is not changed. Also the history with the batch."""
    M, n, _ = own.shape

    def ce(z, label):
        return math.log(sum(math.exp(v) for v in z)) - z[label]

    def c(m, i):
        return math.log(sum(math.exp(v) for v in own[m, i])) / 10

    fused = [sum(c(m, i) * own[m, i] for m in range(M) if present[i, m]) for i in range(n)]
    total = sum(ce(fused[i], y[i]) for i in range(n)) / n
    taken = [dict(h) for h in history]
    for m in range(M):
        there = [i for i in range(n) if present[i, m]]
        if not there:
            continue
        total += sum(ce(own[m, i], y[i]) for i in there) / len(there)
        past = dict(history[m])
        for i in there:
            past.setdefault(rows[i], 0.0)
            taken[m][rows[i]] = past[rows[i]] + ce(own[m, i], y[i])
        known = taken[m] if options.update == "before" else past
        low, high = min(known.values()), max(known.values())
        terms = []
        for i, j in zip(there, [*there[1:], there[0]]):
            apart = (known[rows[i]] - known[rows[j]]) / (high - low) if high > low else 0.0
            margin = abs(apart) if options.rank == "paper" else -abs(apart)
            terms.append(max(0.0, np.sign(apart) * (c(m, i) - c(m, j)) + margin))
        total += options.weight * sum(terms) / len(terms)
    return total, taken


@pytest.mark.parametrize(
    "options",
    [{}, {"update": "before", "weight": 1.0}, {"rank": "released", "weight": 2.0}],
    ids=["paper", "before", "released"],
)
def test_equals_a_slow_loop_over_batches_with_absent_rows(options):
    """Rows come in parts, grow the history, and are seen a second time."""
    recipe, one = build("qmf", options), batch(absent=[])
    history = [{}, {}, {}]
    for picked in ([0, 3, 5, 9], [1, 2, 13, 4], [9, 0, 5, 3], [6, 2, 7, 8]):
        part = Batch(tuple(x[picked] for x in one.x), one.present[picked], one.y[picked], rows=torch.tensor(picked) * 3)
        own = recipe.logits(part).modality.detach().numpy()
        present, y = part.present.numpy(), part.y.numpy()
        total, history = slow_total(own, present, y, part.rows.tolist(), history, Options(**options))
        [(_, loss)] = list(recipe.turns(part))
        assert abs(float(loss.detach()) - total) < 1e-10
    held = recipe.history.numpy()
    assert held.shape == (3, 13 * 3 + 1)
    for m in range(3):
        assert np.flatnonzero(held[m] >= 0).tolist() == sorted(history[m])
        close(held[m, sorted(history[m])], np.array([history[m][r] for r in sorted(history[m])]))


def test_gradients_match_finite_differences_with_a_history():
    recipe, one = build("qmf", {"weight": 2.0}, hidden=(7,)), batch()
    one = Batch(one.x, one.present, one.y, rows=torch.arange(N))
    list(recipe.turns(one))  # now rows differ in what they have lost so far
    plain = build("qmf", {"weight": 0.0}, hidden=(7,))

    def total():
        return next(recipe.turns(one))[1]

    total().backward()
    assert float(total().detach()) > float(next(plain.turns(one))[1].detach()) + 0.1
    rng = np.random.default_rng(0)
    for name, parameter in recipe.net.named_parameters():
        if not parameter.requires_grad:
            continue
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for j in rng.choice(len(flat), size=min(4, len(flat)), replace=False):
            kept, step = float(flat[j]), 1e-6
            flat[j] = kept + step
            above = float(total().detach())
            flat[j] = kept - step
            slope = (above - float(total().detach())) / (2 * step)
            flat[j] = kept
            assert abs(slope - float(gradient[j])) < 1e-7, name


def test_confidences_below_zero_have_no_weight_but_the_equation_stands():
    """Logits all far below zero: the vote is turned round, as the equation has it; told weights stay shares."""
    own = torch.tensor([[[-30.0, -20.0], [-30.0, -20.0]], [[4.0, 0.0], [-5.0, -9.0]]], dtype=torch.float64)
    fused, weights = fuse(own, torch.ones(2, 2, dtype=torch.bool))
    assert weights.tolist() == [[0.0, 1.0], [0.5, 0.5]]
    c = confidence(own)
    assert c[0, 0] < -1.9
    torch.testing.assert_close(fused, c[0][:, None] * own[0] + c[1][:, None] * own[1])
    lone = fuse(own, torch.tensor([[True, False], [False, True]]))[1]
    assert lone.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_detached_confidences_have_no_gradient():
    own = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    fuse(own, torch.ones(5, 2, dtype=torch.bool), detach=True)[0].sum().backward()
    torch.testing.assert_close(own.grad, confidence(own).detach()[:, :, None].expand_as(own))


def test_fusion_does_not_depend_on_the_batch():
    recipe, one = build("qmf"), batch()
    found, order = recipe.logits(one), torch.randperm(N, generator=torch.Generator().manual_seed(0))
    shuffled = recipe.logits(Batch(tuple(x[order] for x in one.x), one.present[order]))
    single = recipe.logits(Batch(tuple(x[4:5] for x in one.x), one.present[4:5]))
    torch.testing.assert_close(shuffled.weights, found.weights[order], rtol=0, atol=1e-12)
    torch.testing.assert_close(single.fused, found.fused[4:5], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.weights.sum(dim=1), torch.ones(N, dtype=torch.float64))


def test_one_modality():
    recipe, records = trained("qmf", {"weight": 0.0}, widths=(4,))
    assert all(math.isfinite(r.values["loss"]) for r in records if "loss" in r.values)
    one = batch()
    only = Batch(one.x[:1], torch.ones(N, 1, dtype=torch.bool), one.y)
    found = recipe.logits(only)
    torch.testing.assert_close(found.fused, confidence(found.modality[0])[:, None] * found.modality[0])
    assert (found.weights == 1).all()
    [(_, loss)] = list(recipe.turns(only))
    parts = [nn.functional.cross_entropy(z, one.y) for z in (found.modality[0], found.fused)]
    torch.testing.assert_close(loss, sum(parts))


def test_batches_of_one_step_both_enter_the_history():
    recipe, one = build("qmf"), batch()
    parts = Given()
    for index, rows in enumerate((slice(0, 5), slice(5, N))):
        x = tuple(x[rows] for x in one.x)
        parts.append(Batch(x, one.present[rows], one.y[rows], index, 2, 0, torch.arange(N)[rows]))
    list(fit(recipe.stages(), parts, Plan(epochs=1, accumulate=2)))
    assert torch.equal(recipe.history >= 0, one.present.T)


def test_the_history_counts_every_epoch_and_what_is_kept_goes_on_to_the_bit(tmp_path):
    options = {"update": "before", "weight": 1.0}
    whole = trained("qmf", options)[0]
    assert same(whole, trained("qmf", options)[0])
    assert not same(whole, trained("qmf", {**options, "weight": 0.0})[0])
    kept = Kept(tmp_path / "run.safetensors", "qmf")
    half = trained("qmf", options, epochs=2, kept=kept)[0]
    seen = half.history >= 0
    assert torch.equal(seen, batch().present.T)
    assert bool((whole.history > half.history)[seen].all())
    resumed = trained("qmf", options, kept=kept)[0]
    assert same(whole, resumed)
    assert torch.equal(whole.history, resumed.history)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": "official"}, "known: paper, released"),
        ({"update": "never"}, "known: before, after"),
        ({"weight": -1.0}, "not a number from 0 on"),
        ({"weight": float("inf")}, "not a number from 0 on"),
    ],
)
def test_refuses(options, words):
    with pytest.raises(ValueError, match=words):
        build("qmf", options)
