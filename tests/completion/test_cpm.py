"""CPM: the equations by vectors and slow loops, latents in closed form, who moves when, and the ways of asking."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from modest import MultimodalClassifier
from modest.completion import Imagining
from modest.completion.cpm import CPM, Options, Training
from modest.completion.latents import class_loss, class_means, decoder, errors, exact, searched, similarity, vote
from modest.learning import Towers
from modest.training import Batch, Batches, Plan, ready
from modest.training.fit import fit
from modest.types import Views
from tests.completion.test_completions import CLASSES, NAMES, WIDTHS, N, batch, build, surveyed, table, trained

CASES = {"one_layer": (), "two_layer": (4,)}


@pytest.fixture(scope="module")
def vectors(shared):
    with np.load(shared / "reference" / "learning" / "cpm.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def put(decoders, vectors, stem):
    """Decoders with the weights of the vectors, which are (in, out)."""
    with torch.no_grad():
        for v, decode in enumerate(decoders):
            for k, layer in enumerate(part for part in decode if isinstance(part, nn.Linear)):
                layer.weight.copy_(vectors[f"{stem}_w{v}_{k}"].T)
                layer.bias.copy_(vectors[f"{stem}_b{v}_{k}"])
    return decoders


def given(vectors, case):
    """Of a case: decoders, training latents, inputs and presence of the training rows, labels."""
    n, generator = int(vectors["n_train"]), torch.Generator().manual_seed(0)
    decoders = nn.ModuleList(
        decoder(5, CASES[case], d, False, generator, torch.float64) for d in (4, 6, 5)
    )
    x = [vectors[f"x{v}"][:n] for v in range(3)]
    latents = vectors[f"{case}_latent_train0"].clone().requires_grad_()
    return put(decoders, vectors, f"{case}_decoder"), latents, x, vectors["present"][:n].bool(), vectors["y_train"]


def close(found, wanted, tolerance=1e-10):
    torch.testing.assert_close(found.detach(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES)
class TestVectors:
    def test_losses_and_similarity(self, vectors, case):
        decoders, h, x, present, y = given(vectors, case)
        for v, decode in enumerate(decoders):
            close(decode(h), vectors[f"{case}_decoded{v}"])
        reconstruction, similar = errors(decoders, h, x, present).sum(), similarity(h, y, h, y, 3)
        close(reconstruction, vectors[f"{case}_reconstruction_loss"])
        close(similar, vectors[f"{case}_similarity"])
        assert similar.argmax(dim=1).tolist() == vectors[f"{case}_best_class"].tolist()
        lost = class_loss(similar, y)
        close(lost, vectors[f"{case}_class_loss_per_sample"])
        close(lost.sum(), vectors[f"{case}_class_loss"])
        close(reconstruction + vectors["lambda_class"] * lost.sum(), vectors[f"{case}_total_loss"])
        printed = class_loss(similar, y, "printed")
        close(printed, vectors[f"{case}_class_loss_eq7_literal_per_sample"])
        assert (printed - lost).abs().max() > 0.1

    def test_gradients(self, vectors, case):
        decoders, h, x, present, y = given(vectors, case)
        errors(decoders, h, x, present).sum().backward()
        close(h.grad, vectors[f"{case}_grad_latent_reconstruction"])
        for v, decode in enumerate(decoders):
            for k, layer in enumerate(decode):
                close(layer.weight.grad.T, vectors[f"{case}_grad_w{v}_{k}"])
                close(layer.bias.grad, vectors[f"{case}_grad_b{v}_{k}"])
        h.grad = None
        class_loss(similarity(h, y, h, y, 3), y).sum().backward()
        close(h.grad, vectors[f"{case}_grad_latent_class"])

    def test_training_and_prediction(self, vectors, case):
        _, start, x, present, y = given(vectors, case)
        weight, each = float(vectors["lambda_class"]), int(vectors["steps_per_epoch"])
        options = Options(size=5, hidden=CASES[case], weight=weight, steps=each, pace=1.0)
        generator = torch.Generator().manual_seed(0)
        towers = Towers.over((4, 6, 5), 2, generator, (), "feature", torch.float64)
        recipe = CPM(towers, NAMES, 3, generator, options)
        put(recipe.decoders, vectors, f"{case}_decoder")
        views = Views({name: part.numpy() for name, part in zip(NAMES, x)}, present.numpy())
        rows = Batches(ready(views, torch.float64), views.present, np.arange(15), y.numpy(), 15)
        recipe.survey(rows.epoch())
        (stage,) = recipe.stages()
        with torch.no_grad():
            stage.latents.paced.copy_(start)
        rates = {"decoders": float(vectors["lr_decoder"]), "latents": float(vectors["lr_latent"])}
        list(fit([stage], rows, Plan(epochs=int(vectors["epochs_train"]), rates=rates)))
        h = stage.latents()
        close(h, vectors[f"{case}_trained_latent_train"], 1e-4)
        for v, decode in enumerate(recipe.decoders):
            for k, layer in enumerate(decode):
                close(layer.weight.T, vectors[f"{case}_trained_decoder_w{v}_{k}"], 1e-4)
                close(layer.bias, vectors[f"{case}_trained_decoder_b{v}_{k}"], 1e-4)
        close(errors(recipe.decoders, h, x, present).sum(), vectors[f"{case}_trained_reconstruction_loss"], 1e-4)
        close(class_loss(similarity(h, y, h, y, 3), y).sum(), vectors[f"{case}_trained_class_loss"], 1e-4)
        new = [vectors[f"x{v}"][15:] for v in range(3)]
        asked, steps = vectors["present"][15:].bool(), each * int(vectors["epochs_test"])
        found = searched(recipe.decoders, vectors[f"{case}_latent_test0"], new, asked, steps, rates["decoders"])
        close(found, vectors[f"{case}_trained_latent_test"], 1e-4)
        said = found @ recipe.centres[0].T
        close(said, vectors[f"{case}_test_similarity"], 1e-4)
        assert said.argmax(dim=1).tolist() == vectors[f"{case}_prediction"].tolist()
        for count in (1, 3):
            votes = vote(found, h, y, count, 3)
            assert votes.tolist() == vectors[f"{case}_prediction_vote{count}"].tolist()


def slow_similarity(h, y, classes):
    found = np.zeros((len(h), classes))
    for i in range(len(h)):
        for c in range(classes):
            others = [j for j in range(len(h)) if y[j] == c and j != i]
            if others:
                found[i, c] = np.mean([h[i] @ h[j] for j in others])
    return found


def test_similarity_of_some_rows_with_a_lone_class_and_an_empty_one():
    h = torch.from_numpy(np.random.default_rng(0).normal(size=(9, 4)))
    y = torch.tensor([0, 0, 1, 0, 1, 2, 0, 1, 1])  # one row of class 2, none of class 3
    slow = slow_similarity(h.numpy(), y.numpy(), 4)
    some = torch.tensor([7, 5, 0])
    np.testing.assert_allclose(similarity(h[some], y[some], h, y, 4), slow[some], atol=1e-12)
    assert slow[5, 2] == 0
    means = class_means(h, y, 4)
    np.testing.assert_allclose(means[1], h[y == 1].mean(dim=0))
    assert (means[3] == 0).all()


def test_class_loss_by_hand():
    F = torch.tensor([[3.0, 1.0, 0.0], [3.0, 2.5, 0.0], [-1.0, -2.0, -5.0]])
    np.testing.assert_allclose(class_loss(F, torch.tensor([0, 1, 0])), [0.0, 1.5, 0.0])
    np.testing.assert_allclose(class_loss(F, torch.tensor([1, 1, 0]), "printed"), [3.0, 1.5, 0.0])
    np.testing.assert_allclose(class_loss(F, torch.tensor([0, 0, 0]), "printed"), [0.0, 0.5, 0.0])


def random_decoders(hidden=(), nonlinear=False, seed=0, size=3):
    generator = torch.Generator().manual_seed(seed)
    return nn.ModuleList(decoder(size, hidden, d, nonlinear, generator, torch.float64) for d in WIDTHS)


def inputs(one):
    return [torch.where(one.present[:, m, None], x, torch.zeros_like(x)) for m, x in enumerate(one.x)]


@pytest.mark.parametrize("hidden", [(), (4, 2)])
def test_exact_latents_are_where_the_gradient_vanishes(hidden):
    decoders, one, ridge = random_decoders(hidden), batch(), 0.01
    h = exact(decoders, inputs(one), one.present, ridge).detach().requires_grad_()
    (errors(decoders, h, inputs(one), one.present).sum() + ridge * h.square().sum()).backward()
    np.testing.assert_allclose(h.grad, 0.0, atol=1e-12)


def test_exact_latents_by_least_squares_row_by_row():
    decoders, one, ridge = random_decoders(), batch(seed=4), 0.3
    found = exact(decoders, inputs(one), one.present, ridge).detach().numpy()
    for i in range(N):
        A = [np.sqrt(ridge) * np.eye(3)]
        b = [np.zeros(3)]
        for v in np.flatnonzero(one.present[i]):
            A.append(decoders[v][0].weight.detach().numpy())
            b.append(one.x[v][i].numpy() - decoders[v][0].bias.detach().numpy())
        np.testing.assert_allclose(found[i], np.linalg.lstsq(np.vstack(A), np.concatenate(b), rcond=None)[0])


def test_a_row_without_views_has_the_zero_latent_and_harms_nobody():
    decoders, one = random_decoders(), batch()
    present = one.present.clone()
    present[3] = False
    found = exact(decoders, inputs(one), present, 0.1)
    assert (found[3] == 0).all()
    assert torch.equal(found[:3], exact(decoders, inputs(one), one.present, 0.1)[:3])
    assert torch.isfinite(found).all()


def test_many_steps_end_at_the_exact_latents():
    decoders, one = random_decoders(size=2), batch()
    start = torch.zeros(N, 2, dtype=torch.float64)
    found = searched(decoders, start, inputs(one), one.present, 1500, 0.05)
    np.testing.assert_allclose(found, exact(decoders, inputs(one), one.present, 1e-9).detach(), atol=1e-3)


@pytest.mark.parametrize("nonlinear", [False, True])
def test_a_search_is_row_by_row_and_leaves_the_decoders_but_for_retuning(nonlinear):
    decoders, one = random_decoders((4,), nonlinear), batch()
    before = copy.deepcopy(decoders.state_dict())
    start = torch.zeros(N, 3, dtype=torch.float64)
    x = inputs(one)
    whole = searched(decoders, start, x, one.present, 30, 0.05)
    some = slice(2, 5)
    alone = searched(decoders, start[some], [part[some] for part in x], one.present[some], 30, 0.05)
    np.testing.assert_allclose(alone, whole[some], atol=1e-9)
    tuned = searched(decoders, start, x, one.present, 30, 0.05, retune=True)
    less = searched(decoders, start[some], [part[some] for part in x], one.present[some], 30, 0.05, retune=True)
    assert (less - tuned[some]).abs().max() > 1e-3
    for name, tensor in decoders.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(parameter.grad is None and parameter.requires_grad for parameter in decoders.parameters())
    assert not tuned.requires_grad


def test_nonlinear_decoders_bend():
    plain, bent = random_decoders((4,)), random_decoders((4,), nonlinear=True)
    h = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    middle = lambda decode: decode((h[:3] + h[3:]) / 2) - (decode(h[:3]) + decode(h[3:])) / 2  # noqa: E731
    assert middle(plain[0]).abs().max() < 1e-12
    assert middle(bent[0]).abs().max() > 1e-3
    assert torch.equal(plain[0][1].weight, bent[0][2].weight)


def stage_of(one, **options):
    recipe = surveyed(build("cpm", {"size": 3, **options}), one)
    return recipe, recipe.stages()[0]


def rows_of(one, size):
    views = Views({name: x.numpy() for name, x in zip(NAMES, one.x)}, one.present.numpy())
    return Batches(ready(views, torch.float64), views.present, np.arange(N), one.y.numpy(), size)


def test_turns_alternate_and_move_their_own_group_only():
    one = batch()
    recipe, stage = stage_of(one, steps=2)
    own = {name: [p.detach().clone() for p in group.parameters()] for name, group in stage.modules().items()}
    towers = copy.deepcopy(recipe.towers.state_dict())
    turns = []
    for record in fit([stage], rows_of(one, N), Plan(epochs=1, lr=0.01)):
        if "turn" not in record.values:
            continue
        turns.append(record.values["turn"])
        now = {name: [p.detach().clone() for p in group.parameters()] for name, group in stage.modules().items()}
        moved = {name for name in now if any(not torch.equal(a, b) for a, b in zip(own[name], now[name]))}
        assert moved == {turns[-1]}
        own = now
    assert turns == ["decoders"] * 2 + ["latents"] * 2
    assert all(torch.equal(tensor, towers[name]) for name, tensor in recipe.towers.state_dict().items())


def test_losses_are_means_over_the_rows_of_the_batch():
    one = batch()
    _, stage = stage_of(one, weight=2.0, steps=1)
    h, x, y = stage.latents().detach(), inputs(one), one.y
    recipe = stage.recipe
    seen = [recipe.towers.inputs(one, m) for m in range(3)]
    assert (seen[0] - x[0]).abs().max() > 0.1  # standardised
    slow = [
        sum((recipe.decoders[v](h[i]) - seen[v][i]).square().sum().item() for v in range(3) if one.present[i, v])
        for i in range(N)
    ]
    F = slow_similarity(h.numpy(), y.numpy(), CLASSES)
    lost = [max(0.0, float(F[i].argmax() != y[i]) + F[i].max() - F[i, y[i]]) for i in range(N)]
    losses = dict(stage.turns(one))
    np.testing.assert_allclose(losses["decoders"].item(), np.mean(slow))
    np.testing.assert_allclose(losses["latents"].item(), np.mean(slow) + 2.0 * np.mean(lost))


def test_only_latents_of_the_batch_move_and_momentum_moves_no_others():
    one = batch()
    _, stage = stage_of(one, steps=3)
    before = stage.latents().detach().clone()
    seen = []
    for record in fit([stage], rows_of(one, 5), Plan(epochs=2, lr=0.01, seed=1)):
        if "turn" in record.values and record.values["turn"] == "latents":
            seen.append(stage.latents().detach().clone())
    for k in range(0, len(seen), 3):
        last = before if k == 0 else seen[k - 1]
        moved = (seen[k + 2] != last).any(dim=1)
        assert moved.sum() == (5 if (k // 3) % 3 < 2 else 4)


def test_a_batch_meets_the_latents_of_the_whole_table():
    one = batch()
    _, stage = stage_of(one, steps=1)
    h, y = stage.latents().detach().numpy(), one.y.numpy()
    some = np.array([9, 2, 5])
    part = Batch(
        tuple(x[some] for x in one.x), one.present[some], one.y[some], rows=torch.from_numpy(some)
    )
    F = slow_similarity(h, y, CLASSES)[some]
    lost = np.maximum(0, (F.argmax(axis=1) != y[some]) + F.max(axis=1) - F[np.arange(3), y[some]])
    losses = dict(stage.turns(part))
    weight = stage.recipe.options.weight
    np.testing.assert_allclose((losses["latents"] - losses["decoders"]).item(), weight * lost.mean(), atol=1e-12)


def test_pace_multiplies_the_rate_of_the_latents():
    one, found = batch(), []
    for pace, rate in ((1.0, 0.08), (8.0, 0.01)):
        _, stage = stage_of(one, pace=pace, steps=2)
        list(fit([stage], rows_of(one, N), Plan(epochs=2, lr=0.01, rates={"latents": rate})))
        found.append(stage.latents().detach())
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_the_centres_are_those_of_the_latents_kept():
    X, y = table(90)
    clf = MultimodalClassifier(method="cpm", epochs=4, lr=0.03, hidden=(), width=4, options={"size": 4})
    run, stages = clf.run(X, y, validation=0.3), []
    original = CPM.stages

    def noted(self):
        stages.extend(original(self))
        return stages

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CPM, "stages", noted)
        fitted = run.result
    (stage,) = stages
    assert isinstance(stage, Training)
    h = stage.latents().detach()
    wanted = class_means(h, stage.recipe.labels, CLASSES)
    assert torch.equal(fitted.recipe_.centres[0], wanted)
    rows = stage.recipe.rows.numpy()
    np.testing.assert_array_equal(stage.recipe.labels, y[rows])
    assert len(rows) < 90


def test_the_survey_takes_rows_in_any_order():
    one = batch()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    recipe = build("cpm")
    parts = [order[:6], order[6:]]
    recipe.survey(
        Batch(tuple(x[p] for x in one.x), one.present[p], one.y[p], rows=10 * p) for p in parts
    )
    assert recipe.rows.tolist() == [10 * k for k in range(N)]
    assert torch.equal(recipe.labels, one.y)
    with pytest.raises(ValueError, match="survey"):
        build("cpm").stages()


def test_a_class_of_one_row_trains():
    X, y = table(40)
    y = y.copy()
    y[7] = 3
    assert np.isfinite(trained("cpm", X, y).predict_proba(X)).all()


@pytest.mark.parametrize("scoring", ["steps", "transductive"])
def test_other_modes_of_asking(scoring, tmp_path):
    X, y = table()
    hidden = {"hidden": [5], "nonlinear": True} if scoring == "steps" else {}
    options = {"scoring": scoring, "scoring_steps": 20, "size": 4, **hidden}
    clf, new = trained("cpm", X, y, epochs=2, options=options), table(30, seed=5)[0]
    whole = clf.predict_proba(new)
    moved = np.abs(clf.predict_proba(new[np.arange(10)]) - whole[:10]).max()
    if scoring == "steps":
        assert moved < 1e-5
    else:
        assert moved > 1e-3
    np.testing.assert_array_equal(clf.predict_proba(new), whole)  # asking changes nothing for those who ask later


def test_retuning_only_follows_the_default():
    X, y = table()
    default, tuned = (
        trained("cpm", X, y, epochs=2, options={"scoring": s, "scoring_steps": 20}) for s in ("exact", "transductive")
    )
    for (name, a), b in zip(default.recipe_.net.state_dict().items(), tuned.recipe_.net.state_dict().values()):
        assert torch.equal(a, b), name
    assert np.abs(default.predict_proba(X) - tuned.predict_proba(X)).max() > 1e-3


def test_the_best_epoch_is_chosen_without_retuning():
    one = batch()
    recipe, stage = stage_of(one, scoring="transductive", scoring_steps=10)
    h = exact(recipe.decoders, recipe.inputs(one), one.present, recipe.options.ridge)
    close(stage.logits(one).fused, (h @ recipe.centres[0].T).detach())
    assert (recipe.logits(one).fused - stage.logits(one).fused).abs().max() > 1e-3


def test_imagined_and_truth():
    one = batch()
    recipe, _ = stage_of(one)
    assert isinstance(recipe, Imagining)
    h = exact(recipe.decoders, recipe.inputs(one), one.present, recipe.options.ridge)
    for m in range(3):
        close(recipe.imagined(one, m), recipe.decoders[m](h).detach())
        close(recipe.truth(one, m), recipe.towers.inputs(one, m))


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 0), ("steps", 1.5), ("scoring_steps", True), ("hidden", (3, 0)), ("pace", 0.0), ("ridge", float("nan")),
     ("scoring_rate", -1.0), ("weight", -1.0), ("form", "eq7"), ("scoring", "gan"), ("nonlinear", True)],
)  # fmt: skip
def test_options_are_checked(name, value):
    with pytest.raises(ValueError, match="options"):
        Options(**{name: value})


def test_fill_is_refused():
    X, y = table()
    with pytest.raises(ValueError, match="leave fill='mean' out"):
        trained("cpm", X, y, fill="mean")
