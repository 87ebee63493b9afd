"""MMIN: its vectors with all gradients, what is a target and what is not, a teacher that stands still.

What holds of IF-MMIN too is asked of both.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from modest import MultimodalClassifier
from modest.completion import METHODS, Imagining, draw, hidden, only
from modest.completion.mmin import Options, Student, gap, incomplete
from modest.encoders.towers import Tower, linear
from modest.learning import Towers
from modest.training import Batch, Batches, Plan
from modest.training.batches import ready
from modest.training.fit import fit
from modest.types import Views
from tests.completion.test_ae import DOUBLE, ORDER, PLACES, renamed
from tests.completion.test_completions import NAMES, WIDTH, batch, build, table
from tests.completion.test_residual import part, vectors

BOTH = pytest.mark.parametrize("method", ["mmin", "ifmmin"])
SMALL = {"layers": (8, 3), "blocks": 2, "hidden": (5,), "dropout": 0.0}


def encoders(found, prefix):
    """Fully connected encoders of the release, in the order of its fused vector."""
    nets = nn.ModuleList()
    for letter in ORDER:
        weights = renamed(found, f"{prefix}.{letter.upper()}.")
        net = Tower(found[letter].shape[1], len(weights["4.bias"]), torch.Generator(), (6, 5), DOUBLE)
        net.layers.load_state_dict(weights)
        nets.append(net)
    return nets


def embedded(nets, found, there):
    """Features side by side of the inputs of the cells ``there`` (n, 3), in the order a, v, l; zeros elsewhere."""
    seen = [found[letter] * there[:, "avl".index(letter), None] for letter in ORDER]
    return torch.cat([net(x) for net, x in zip(nets, seen)], dim=1)


def compared(ours, found, given):
    assert set(ours) == {key for key in found if key not in given and not key.startswith(("w.", "teacher."))}
    for key, value in ours.items():
        np.testing.assert_allclose(value.detach(), found[key], rtol=0, atol=1e-8, err_msg=key)


def gradients(modules):
    """Gradients of modules by the names of the release; the fully connected ones are given as (name, module, True)."""
    back = {new: old for old, new in PLACES.items()}
    found = {}
    for name, module, full in modules:
        for key, value in module.named_parameters():
            found[f"grad.{name}.{back[key[:2]] + key[2:] if full else key}"] = value.grad
    return found


def test_vectors(shared):
    found = vectors(shared, "mmin")
    ce, imagination, cycle = found["weights_ce_mse_cycle"].tolist()
    assert ce == 1
    options = Options(found["ae_layers"].tolist(), int(found["n_blocks"]), (6, 5), imagination, cycle, dropout=0.0)
    student = Student(15, 4, torch.Generator(), options, DOUBLE)
    for net, prefix in ((student.imagination, "w.AE."), (student.cycle, "w.AE_cycle.")):
        net.load_state_dict(part(found, prefix))
    student.classifier.load_state_dict(renamed(found, "w.C."))
    nets, there = encoders(found, "w"), found["present_avl"]
    embedding = embedded(nets, found, there)
    with torch.no_grad():
        wanted = embedded(encoders(found, "teacher"), found, 1 - there)
    missing = (1 - there)[:, [0, 2, 1]].bool().repeat_interleave(torch.tensor([5, 6, 4]), dim=1)
    logits, imagined = student(embedding)
    cycled, codes = student.cycle(imagined)
    ours = {
        "embedding": embedding,
        "imagined": imagined,
        "latent": student.imagination(embedding)[1],
        "cycled": cycled,
        "latent_cycle": codes,
        "teacher_embedding": wanted,
        "logits": logits,
        "loss_ce": cross_entropy(logits, found["y"]),
        "loss_imagination": gap(imagined, wanted),
        "loss_imagination_missing_only": gap(imagined, wanted, missing),
        "loss_cycle": gap(cycled, embedding),
        "loss_total": student.loss(embedding, found["y"], wanted),
    }
    ours["loss_total"].backward()
    ours |= gradients([
        *((letter.upper(), net.layers, True) for letter, net in zip(ORDER, nets)),
        ("C", student.classifier, True), ("AE", student.imagination, False), ("AE_cycle", student.cycle, False),
    ])  # fmt: skip
    compared(ours, found, {"a", "v", "l", "present_avl", "y", "ae_layers", "n_blocks", "weights_ce_mse_cycle"})
    # by default only what is hidden counts, which is another loss than the release's
    assert abs(student.loss(embedding, found["y"], wanted, missing) - ours["loss_total"]) > 1e-3


def test_the_gap_is_a_slow_loop_and_zero_without_entries():
    rng = np.random.default_rng(0)
    found, wanted, where = rng.normal(size=(5, 4)), rng.normal(size=(5, 4)), rng.random((5, 4)) < 0.5
    squares = [(found[i, j] - wanted[i, j]) ** 2 for i in range(5) for j in range(4) if where[i, j]]
    tensors = [torch.from_numpy(a) for a in (found, wanted, where)]
    np.testing.assert_allclose(gap(*tensors), np.mean(squares))
    tensors[0].requires_grad_()
    nothing = gap(*tensors[:2], torch.zeros(5, 4, dtype=torch.bool))
    nothing.backward()
    assert nothing == 0
    assert not tensors[0].grad.any()


def test_incomplete_patterns_are_uniform_and_never_full():
    torch.manual_seed(0)
    n = 6000
    kept = incomplete(torch.ones(n, 3, dtype=torch.bool))
    patterns, counts = np.unique(kept.numpy(), axis=0, return_counts=True)
    assert len(patterns) == 6
    assert (np.abs(counts / n - 1 / 6) < 4 * np.sqrt(5 / 36 / n)).all()
    present = torch.tensor([[True, False, True, True], [False, True, False, False], [True, False, False, True]] * n)
    kept = incomplete(present).reshape(n, 3, 4)
    assert not (kept & ~present.reshape(n, 3, 4)).any()
    assert len(np.unique(kept[:, 0].numpy(), axis=0)) == 6
    assert (kept[:, 1] == present[1]).all()
    assert (kept[:, 2].sum(dim=1) == 1).all()


def trainable(method, **options):
    recipe = build(method, {**SMALL, **options})
    recipe.begin()
    with torch.no_grad():  # a student that has left its teacher
        for parameter in [*recipe.towers.parameters(), *getattr(recipe, "shared", nn.Identity()).parameters()]:
            parameter += 0.1 * torch.ones_like(parameter)
    return recipe


def terms(recipe, one, kept):
    """The terms of the student's loss, entry by entry: classes, imagination, cycle."""
    s, seen, taught = WIDTH, hidden(one, kept), recipe.teacher.blocks(one)
    h = torch.cat(list(recipe.towers.blocks(seen)), dim=1)
    logits, imagined = recipe.student(h, recipe.invariant(h))
    gone, around = [], []
    for i in range(len(one)):
        for j in range(3 * s):
            m, k = divmod(j, s)
            if one.present[i, m] and not kept[i, m]:
                gone.append(float((imagined[i, j] - taught[m, i, k]).detach() ** 2))
    if recipe.student.cycle is not None:
        around = ((recipe.student.cycle(imagined)[0] - h) ** 2).flatten().tolist()
    return float(cross_entropy(logits, one.y).detach()), np.mean(gone) if gone else 0.0, np.mean(around or [0.0])


def loss(recipe, one, kept):
    seen = recipe.embedding(recipe.towers, hidden(one, kept))
    return recipe.loss(one, kept, seen, recipe.taught(one))


def test_the_loss_is_a_slow_loop_over_what_is_hidden():
    recipe, one = trainable("mmin", imagination=3.0, cycle=0.7), batch()
    kept = incomplete(one.present)
    ce, imagination, cycle = terms(recipe, one, kept)
    assert min(imagination, cycle) > 0
    np.testing.assert_allclose(loss(recipe, one, kept).item(), ce + 3.0 * imagination + 0.7 * cycle)
    twice = Batch(tuple(torch.cat([x, x]) for x in one.x), one.present.repeat(2, 1), one.y.repeat(2))
    np.testing.assert_allclose(loss(recipe, twice, kept.repeat(2, 1)).item(), loss(recipe, one, kept).item())


@BOTH
class TestBoth:
    @pytest.mark.parametrize(
        ("options", "drawn"),
        [
            ({"patterns": "incomplete"}, incomplete),
            ({"share": 0.0}, lambda present: present),
            ({"share": 1.0}, lambda present: draw(present, 1.0)),
            ({}, lambda present: draw(present, Options().share)),
        ],
    )
    def test_a_turn_shows_what_the_options_say(self, method, options, drawn):
        recipe, one = trainable(method, **options), replace(batch(), epoch=1)
        torch.manual_seed(5)
        (_, found), = recipe.turns(one)  # fmt: skip
        torch.manual_seed(5)
        np.testing.assert_allclose(found.item(), loss(recipe, one, drawn(one.present)).item())

    def test_dropout_keeps_codes_from_the_classifier_in_training_alone(self, method):
        recipe, one = trainable(method, dropout=1.0), batch()
        bias = recipe.student.classifier(torch.zeros(1, 6, dtype=DOUBLE))
        torch.testing.assert_close(recipe.logits(one).fused, bias.expand(14, 3))
        recipe.net.eval()
        assert (recipe.logits(one).fused - bias).abs().min() > 0

    def test_what_the_cycle_must_return_is_held_fixed(self, method):
        recipe, one = trainable(method, imagination=0.0, cycle=1.0), batch()
        h = torch.randn(14, 3 * WIDTH, dtype=DOUBLE).requires_grad_()
        invariant = recipe.invariant(h.detach())
        given = recipe.student.loss(h, one.y, h.detach(), None, invariant)
        (moved,) = torch.autograd.grad(given, h)
        fixed = h.detach().clone()
        free = h.detach().clone().requires_grad_()
        logits, imagined = recipe.student(free, invariant)
        by_hand = cross_entropy(logits, one.y) + ((recipe.student.cycle(imagined)[0] - fixed) ** 2).mean()
        np.testing.assert_allclose(moved, torch.autograd.grad(by_hand, free)[0], atol=1e-12)

    def test_a_batch_without_anything_to_hide_has_a_loss_and_no_target(self, method):
        recipe, one = trainable(method), batch()
        single = torch.nn.functional.one_hot(torch.arange(14) % 3, 3).bool()
        one = Batch(tuple(torch.randn_like(x) * single[:, m, None] for m, x in enumerate(one.x)), single, one.y)
        before = loss(recipe, one, single)
        recipe.student.options = replace(recipe.options, imagination=1e6)  # nothing is there to be imagined
        np.testing.assert_allclose(loss(recipe, one, single).item(), before.item())
        before.backward()
        assert all(torch.isfinite(p.grad).all() for p in recipe.net.parameters() if p.grad is not None)

    def test_the_student_starts_from_the_teacher_who_stands_still(self, method):
        X, y = table(90)
        recipe = build(method, SMALL)
        batches = Batches(ready(X, DOUBLE), X.present, np.arange(90), y, 16)
        for plan in (Plan(3, 0.1, "sgd", 0.9, 0.1), Plan(3, 1e-2, "adamw", weight_decay=0.5)):
            teaching, learning = recipe.stages()
            for _ in fit([teaching], batches, plan):
                pass
            pairs = [(recipe.teacher, recipe.towers)]
            if method == "ifmmin":
                pairs.append((recipe.taught_shared, recipe.shared))
            began = [copy.deepcopy(own.state_dict()) for _, own in pairs]
            for _ in fit([learning], batches, plan):
                pass
            for (teacher, own), start in zip(pairs, began):
                for key, value in start.items():
                    assert torch.equal(teacher.state_dict()[key], value)
                assert any(not torch.equal(own.state_dict()[key], value) for key, value in start.items())

    def test_the_teachers_batch_norm_stands_still_too(self, method):
        generator = torch.Generator().manual_seed(0)
        nets = [nn.Sequential(linear(d, 6, generator), nn.BatchNorm1d(6)) for d in (4, 3, 5)]
        recipe = METHODS[method].build(Towers(nets, 6), NAMES, 3, generator, SMALL)
        one = batch()
        one = Batch(tuple(x.float() for x in one.x), one.present, one.y)
        recipe.begin()
        before = copy.deepcopy(recipe.teacher.state_dict())
        recipe.net.train()
        kept = one.present
        loss(recipe, one, kept).backward()
        assert all(torch.equal(value, before[key]) for key, value in recipe.teacher.state_dict().items())
        assert not any(parameter.requires_grad for parameter in recipe.teacher.parameters())

    def test_what_is_imagined_does_not_come_from_the_modality_itself(self, method):
        recipe, one = trainable(method), batch()
        assert isinstance(recipe, Imagining)
        h = torch.cat(list(recipe.towers.blocks(one)), dim=1)
        logits, imagined = recipe.student(h, recipe.invariant(h))
        torch.testing.assert_close(recipe.logits(one).fused, logits)
        for m in range(3):
            torch.testing.assert_close(recipe.imagined(one, m), imagined[:, m * WIDTH : (m + 1) * WIDTH])
            others = torch.ones_like(one.present)
            others[:, m] = False
            other = Batch(tuple(x + 7.0 if k == m else x for k, x in enumerate(one.x)), one.present, one.y)
            first, second = (recipe.imagined(hidden(each, others), m) for each in (one, other))
            torch.testing.assert_close(first, second, rtol=0, atol=0)
            assert first.shape == (14, WIDTH)
            truth, there = recipe.teacher.eval().features(one, m)
            torch.testing.assert_close(recipe.truth(one, m)[there], truth)
            torch.testing.assert_close(recipe.truth(only(one, m), m), recipe.truth(one, m))

    def test_it_learns_to_imagine(self, method):
        rng = np.random.default_rng(0)
        first = rng.normal(size=(200, 3))
        X = {"a": first, "b": first @ rng.normal(size=(3, 4))}
        y = (first[:, 0] > 0).astype(int)
        present = rng.random((200, 2)) < 0.8
        present[~present.any(axis=1), 0] = True
        options = {"layers": (16, 8), "blocks": 2, "hidden": (16,), "imagination": 4.0}
        clf = MultimodalClassifier(
            method=method, epochs=25, lr=1e-2, width=6, hidden=(), options=options
        ).fit(Views(X, present), y, validation=False)  # fmt: skip
        whole = Batch(tuple(torch.from_numpy(x).float() for x in X.values()), torch.ones(200, 2, dtype=torch.bool))
        with torch.no_grad():
            truth = clf.recipe_.truth(whole, 1)
            guessed = clf.recipe_.imagined(only(whole, 0), 1)
        assert ((guessed - truth) ** 2).mean() < 0.3 * truth.var(dim=0).mean()

    def test_a_run_cut_in_the_students_stage_ends_in_the_same_model(self, method, tmp_path):
        X, y = table()
        settings = {"method": method, "epochs": 2, "hidden": (), "width": WIDTH, "options": SMALL}
        whole = MultimodalClassifier(**settings).fit(X, y, validation=0.3)
        cut = iter(MultimodalClassifier(**settings).run(X, y, 0.3, checkpoint=tmp_path / "run.safetensors"))
        record = next(cut)
        while "losses" not in record.values or record.stage != method:
            record = next(cut)
        again = MultimodalClassifier(**settings).run(X, y, 0.3, checkpoint=tmp_path / "run.safetensors").result
        np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))
        for key, value in whole.recipe_.teacher.state_dict().items():
            assert torch.equal(again.recipe_.teacher.state_dict()[key], value)

    def test_over_an_encoder_of_pictures(self, method):
        generator = torch.Generator().manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6))
        towers = Towers([net, Tower(3, 6, generator)], 6)
        recipe = METHODS[method].build(towers, ("photo", "text"), 3, generator, SMALL)
        present = torch.ones(9, 2, dtype=torch.bool)
        present[:3, 0] = False
        one = Batch((torch.randn(9, 3, 8, 8, generator=generator), torch.randn(9, 3)), present, torch.arange(9) % 3)
        for task in recipe.stages():
            (_, value), = task.turns(one)  # fmt: skip
            net[0].weight.grad = None
            value.backward()
            assert net[0].weight.grad.abs().sum() > 0
            assert task.logits(one).fused.shape == (9, 3)
        assert recipe.imagined(one, 0).shape == recipe.truth(one, 0).shape == (9, 6)

    def test_options_and_a_single_modality_are_refused_with_the_mend(self, method):
        for options, name in (
            ({"layers": ()}, "layers"), ({"layers": 8}, "layers"), ({"layers": (4, 0)}, "layers"),
            ({"blocks": 0}, "blocks"), ({"hidden": (2.5,)}, "hidden"), ({"imagination": -1.0}, "imagination"),
            ({"cycle": np.inf}, "cycle"), ({"patterns": "all"}, "patterns"), ({"share": 1.5}, "share"),
            ({"dropout": -0.1}, "dropout"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=name):
                build(method, options)
        with pytest.raises(ValueError, match="alone"):
            build(method, SMALL, widths=(4,))

