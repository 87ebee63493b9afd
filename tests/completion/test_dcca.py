"""Deep canonical correlation against the vectors, and its two stages."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from modest.completion import dcca
from modest.completion.correlation import canonical, scatter
from modest.learning import Towers
from modest.training import Batch

ALL = torch.ones(40, 3, dtype=torch.bool)


@pytest.fixture(scope="module")
def vectors(shared):
    with np.load(shared / "reference" / "learning" / "dcca.npz", allow_pickle=False) as found:
        return dict(found)


def network(weights, prefix):
    """Linear, batch norm, ReLU three times, and a last Linear; weights by their names in the vectors."""
    layers = []
    for place in (0, 3, 6, 9):
        out, into = weights[f"{prefix}.model.{place}.weight"].shape
        layers.append(nn.Linear(into, out, dtype=torch.float64))
        if place < 9:
            layers += [nn.BatchNorm1d(out, dtype=torch.float64), nn.ReLU()]
    net = nn.Sequential(*layers).train()
    own = {name.removeprefix(f"{prefix}.model."): torch.from_numpy(w) for name, w in weights.items() if prefix in name}
    missing, unexpected = net.load_state_dict(own, strict=False)
    assert not unexpected
    assert all("running" in name or "tracked" in name for name in missing)
    return net


def views_of(vectors, count):
    return [torch.from_numpy(vectors[f"h{m}"]).requires_grad_() for m in range(count)]


class TestVectors:
    @pytest.mark.parametrize(("name", "top", "squared", "suffix"), [
        ("all", None, False, "paper"), ("topk", 3, False, "paper"), ("squared", None, True, "cca_zoo"),
    ])  # fmt: skip
    def test_losses_and_gradients(self, vectors, name, top, squared, suffix):
        views = views_of(vectors, 2)
        loss = dcca.correlation(views, ALL[:, :2], float(vectors["ridge"]), top, squared)
        loss.backward()
        assert float(loss) == pytest.approx(float(vectors[f"{name}_loss_{suffix}"]), abs=1e-10)
        for m in (0, 1):
            np.testing.assert_allclose(views[m].grad, vectors[f"{name}_grad_h{m}_{suffix}"], atol=1e-10)
        if suffix == "paper":
            assert abs(float(loss) - float(vectors[f"{name}_loss_official"])) > 1e-4
            assert np.abs(views[0].grad - vectors[f"{name}_grad_h0_official"]).max() > 1e-6

    def test_the_singular_values_and_what_the_release_makes_of_them(self, vectors):
        assert int(vectors["top_k"]) == 3
        first, second = (view.detach() for view in views_of(vectors, 2))
        found = canonical(scatter(first, second) / 39, 4, float(vectors["ridge"])).values
        np.testing.assert_allclose(found, vectors["singular_values"], atol=1e-10)
        assert abs(-float(found.sum()) - float(vectors["use_all_loss_wrong_official"])) > 0.1

    def test_three_views(self, vectors):
        views, ridge = views_of(vectors, 3), float(vectors["ridge"])
        assert float(dcca.correlation(views, ALL, ridge)) == pytest.approx(
            float(vectors["three_view_loss_paper"]), abs=1e-10
        )
        assert float(dcca.correlation(views, ALL, ridge, squared=True)) == pytest.approx(
            float(vectors["squared_three_view_loss_cca_zoo"]), abs=1e-10
        )

    def test_networks(self, vectors):
        z = [network(vectors, f"net.model{m + 1}")(torch.from_numpy(vectors[f"net_x{m}"])) for m in range(3)]
        for m in range(3):
            np.testing.assert_allclose(z[m].detach(), vectors[f"net_z{m}"], atol=1e-10)
        assert np.abs(z[2].detach() - vectors["net_z2_wrong_official"]).max() > 0.1
        loss = float(dcca.correlation(z, ALL[:30], float(vectors["ridge"])))
        assert loss == pytest.approx(float(vectors["net_cca_loss_paper"]), abs=1e-10)
        assert abs(loss - float(vectors["net_cca_loss_wrong_official"])) > 0.1


def random_views(n=12, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.normal(size=(n, k))).requires_grad_() for _ in range(3)]


class TestCorrelation:
    def test_only_rows_with_both_count(self):
        views, speaks = random_views(40), torch.from_numpy(np.random.default_rng(1).random((40, 3)) < 0.6)
        loss = dcca.correlation(views, speaks, 0.1)
        slow = 0.0
        for i, j in combinations(range(3), 2):
            rows = [row for row in range(40) if speaks[row, i] and speaks[row, j]]
            slow -= float(dcca.correlation([views[i][rows], views[j][rows]], ALL[: len(rows), :2], 0.1))
        assert -float(loss) == pytest.approx(slow, abs=1e-12)
        loss.backward()
        alone = speaks.sum(dim=1) == 1
        assert all(bool((view.grad[alone] == 0).all()) for view in views)

    def test_a_batch_without_a_pair_is_zero(self):
        views = random_views(5)
        for speaks in (torch.eye(5, 3, dtype=torch.bool), ALL[:1].repeat(5, 1) & (torch.arange(5) == 2)[:, None]):
            assert float(dcca.correlation(views, speaks, 0.1)) == 0.0

    def test_a_batch_smaller_than_k_teaches_nothing(self):
        views = random_views(4, 6)  # three directions of rows among six: all correlate perfectly whatever they hold
        loss = dcca.correlation(views, ALL[:4], 1e-9)
        loss.backward()
        assert float(loss) == pytest.approx(-9.0, abs=1e-6)
        assert max(float(view.grad.abs().max()) for view in views) < 1e-6


def build(seed=3, width=6, fill="feature", **options):
    generator = torch.Generator().manual_seed(seed)
    towers = Towers.over((4, 3, 5), width, generator, (), fill, torch.float64)
    return dcca.DCCA(towers, ("a", "b", "c"), 3, generator, dcca.Options(**options))


def batch(n=24, seed=0):
    rng = np.random.default_rng(seed)
    present = torch.from_numpy(rng.random((n, 3)) < 0.7)
    present[~present.any(dim=1), 0] = True
    x = [torch.from_numpy(rng.normal(size=(n, d))) * present[:, m, None] for m, d in enumerate((4, 3, 5))]
    return Batch(tuple(x), present, torch.from_numpy(rng.integers(3, size=n)), rows=torch.arange(n))


def gradients(stage, one):
    stage.net.zero_grad(set_to_none=True)
    (((_, loss),)) = list(stage.turns(one))
    loss.backward()
    return {name: p.grad for name, p in stage.net.named_parameters() if p.grad is not None and bool(p.grad.any())}


class TestRecipe:
    def test_labels_do_not_reach_the_encoders_in_the_first_stage(self):
        one = batch()
        other = Batch(one.x, one.present, (one.labels + 1) % 3, rows=one.rows)
        found, again = (gradients(build().stages()[0], told) for told in (one, other))
        assert found.keys() == again.keys()
        for name, gradient in found.items():
            same = torch.equal(gradient, again[name])
            assert same != name.startswith("head"), name

    def test_the_second_stage_leaves_frozen_encoders_alone(self):
        assert set(gradients(build(frozen=True).stages()[1], batch())) == {"head.1.weight", "head.1.bias"}
        assert any(name.startswith("towers") for name in gradients(build(frozen=False).stages()[1], batch()))

    def test_rows_both_leaves_out_what_is_filled(self):
        one, recipe = batch(), build()
        recipe.net.eval()  # what the head sees is not in question
        views = [view.detach() for view in recipe.views(one)]
        (_, loss), = recipe.stages()[0].turns(one)
        head = torch.nn.functional.cross_entropy(recipe.head_of(views), one.labels)
        expected = dcca.correlation(views, one.present, recipe.options.ridge)
        assert float(loss - head) == pytest.approx(float(expected), abs=1e-12)
        filled = build(rows="filled")
        filled.net.eval()
        (_, loss), = filled.stages()[0].turns(one)
        expected = dcca.correlation(views, ALL[:24], recipe.options.ridge)
        assert float(loss - head) == pytest.approx(float(expected), abs=1e-12)

    def test_an_absent_view_says_what_its_mean_says(self):
        recipe, one = build(), batch()
        recipe.towers.encoders[1].standardise(torch.full((3,), 0.7), torch.ones(3))
        absent = recipe.views(one)[1][~one.present[:, 1]]
        mean = recipe.projectors[1](recipe.towers.encoders[1](torch.full((1, 3), 0.7, dtype=torch.float64)))
        np.testing.assert_allclose(absent.detach(), mean.detach().expand_as(absent), atol=1e-12)

    def test_training_raises_the_correlation_of_rows_that_did_not_train(self):
        rng = np.random.default_rng(0)
        common = rng.normal(size=(400, 2))
        sides = [np.c_[common, rng.normal(size=(400, d - 2))] @ rng.normal(size=(d, d)) for d in (4, 3, 5)]
        x = [torch.from_numpy(side) for side in sides]
        there = torch.ones(400, 3, dtype=torch.bool)
        train, new = (Batch(tuple(v[rows] for v in x), there[rows], torch.zeros(len(there[rows]), dtype=torch.int64))
                      for rows in (slice(0, 200), slice(200, 400)))  # fmt: skip
        recipe = build(components=2)
        stage = recipe.stages()[0]
        before = float(dcca.correlation(recipe.views(new), new.present, 1e-3))
        optimizer = torch.optim.Adam(recipe.net.parameters(), lr=1e-2)
        for step in range(60):
            rows = slice(20 * (step % 10), 20 * (step % 10) + 20)
            part = Batch(tuple(v[rows] for v in train.x), train.present[rows], train.labels[rows])
            for _, loss in stage.turns(part):
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        after = float(dcca.correlation(recipe.views(new), new.present, 1e-3))
        assert after < before - 2.0  # three pairs of two directions: at most 6

    def test_the_head_reads_standardised_views(self):
        rows = torch.from_numpy(3.0 + 5.0 * np.random.default_rng(0).normal(size=(200, 2)))
        standard = dcca.Standard(2, torch.float64)
        for _ in range(200):
            standard(rows)
        standard.eval()
        np.testing.assert_allclose(standard(rows), (rows - rows.mean(dim=0)) / rows.std(dim=0, correction=0), atol=1e-6)
        before = standard.mean.clone()
        standard(rows + 1.0)
        assert torch.equal(standard.mean, before)

    def test_components_are_at_most_the_width(self):
        assert build(width=4, components=9).k == 4

    def test_refusals(self):
        with pytest.raises(ValueError, match="concat"):
            dcca.DCCA(Towers.over((3,), 4, torch.Generator()), ("a",), 2, torch.Generator(), dcca.Options())
        with pytest.raises(ValueError, match="omit it"):
            build(fill="zero")

    @pytest.mark.parametrize("options", [
        {"components": 0}, {"top": 0}, {"top": True}, {"ridge": 0.0}, {"rows": "all"},
    ])  # fmt: skip
    def test_options_out_of_range_are_refused(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            dcca.Options(**options)
