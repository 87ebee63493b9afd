"""IF-MMIN: its vectors with all gradients, the discrepancy between modalities, the teacher's stage."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from modest.completion import hidden
from modest.completion.cmd import discrepancy, spread
from modest.completion.ifmmin import IFMMIN, Options
from modest.completion.mmin import gap, incomplete
from modest.learning import Towers
from modest.training import Batch
from tests.completion.test_ae import DOUBLE, ORDER, renamed
from tests.completion.test_completions import WIDTH, batch, build
from tests.completion.test_mmin import SMALL, compared, gradients, loss, terms, trainable
from tests.completion.test_residual import part, vectors

LAYERS = {"shared_1": "0", "shared_2": "2"}


def given(found):
    """The recipe with the weights of the vectors; zeros go through the encoders, as in the release."""
    sizes = found["ae_layers"].tolist(), int(found["n_blocks"]), (6, 5)
    options = Options(*sizes, 1.0, 0.0, invariant=100.0, dropout=0.0)
    towers = Towers.over([found[x].shape[1] for x in ORDER], 5, torch.Generator(), (), "zero", DOUBLE)
    recipe = IFMMIN(towers, ("audio", "text", "video"), 4, torch.Generator(), options)
    for prefix, nets in (("w", recipe.towers), ("teacher", recipe.teacher)):
        for net, letter in zip(nets.encoders, ORDER.upper()):
            net.layers[0].load_state_dict(part(found, f"{prefix}.{letter}.lin."))
    for prefix, net in (("w.invariant", recipe.shared), ("teacher.Shared", recipe.taught_shared)):
        for theirs, ours in LAYERS.items():
            net[int(ours)].load_state_dict(part(found, f"{prefix}.netshared.{theirs}."))
    recipe.student.imagination.load_state_dict(part(found, "w.AE."))
    recipe.student.classifier.load_state_dict(renamed(found, "w.C."))
    return recipe


def test_vectors(shared):
    found = vectors(shared, "ifmmin")
    recipe = given(found)
    there = found["present_avl"][:, [0, 2, 1]].bool()
    whole = Batch(tuple(found[x] for x in ORDER), torch.ones_like(there), found["y"])
    seen = recipe.embedding(recipe.towers, hidden(whole, there))
    wanted = recipe.taught(hidden(whole, ~there))
    everything = recipe.taught(whole).unflatten(1, (3, 5))
    invariant, full = recipe.invariant(seen), recipe.taught_shared(everything).flatten(1)
    logits, imagined = recipe.student(seen, invariant)
    released = recipe.student.loss(seen, found["y"], wanted, None, invariant)
    a, text, v = recipe.taught_shared(everything).unbind(1)
    ours = {
        "embedding": seen,
        "invariant": invariant,
        "imagined": imagined,
        "latent": recipe.student.imagination(seen, invariant)[1],
        "teacher_embedding": wanted,
        "teacher_invariant_full": full,
        "logits": logits,
        "loss_ce": cross_entropy(logits, found["y"]),
        "loss_imagination": gap(imagined, wanted),
        "loss_invariant": gap(invariant, full),
        "loss_total": released + 100 * gap(invariant, full),
        "loss_total_invariant_weight_1": released + gap(invariant, full),
        "cmd_pairs_lv_la_av": torch.stack([discrepancy(x, y) for x, y in ((text, v), (text, a), (a, v))]),
        "cmd_loss": spread(recipe.taught_shared(everything).unbind(1), whole.present),
    }
    ours["loss_total"].backward()
    ours |= gradients([("C", recipe.student.classifier, True), ("AE", recipe.student.imagination, False)])
    for letter, net in zip(ORDER.upper(), recipe.towers.encoders):
        ours |= {f"grad.{letter}.lin.{k}": p.grad for k, p in net.layers[0].named_parameters()}
    for theirs, place in LAYERS.items():
        net = recipe.shared[int(place)]
        ours |= {f"grad.invariant.netshared.{theirs}.{k}": p.grad for k, p in net.named_parameters()}
    compared(ours, found, {"a", "v", "l", "present_avl", "y", "ae_layers", "n_blocks", "weights_ce_mse_invariant"})
    np.testing.assert_array_equal(found["weights_ce_mse_invariant"], [1, 1, 100])
    # what is shown has no target of imagination here, as it has in the release
    assert abs(loss(recipe, whole, there) - ours["loss_total"]) > 1e-3


def test_the_students_loss_is_a_slow_loop():
    recipe, one = trainable("ifmmin", imagination=2.0, invariant=7.0), batch()
    kept = incomplete(one.present)
    ce, imagination, _ = terms(recipe, one, kept)
    h, t, apart = recipe.embedding(recipe.towers, hidden(one, kept)), recipe.taught(one), []
    for i, m in np.argwhere(one.present.numpy()):
        cut = slice(m * WIDTH, (m + 1) * WIDTH)
        apart += ((recipe.shared(h[i, cut]) - recipe.taught_shared(t[i, cut])) ** 2).tolist()
    np.testing.assert_allclose(loss(recipe, one, kept).item(), ce + 2.0 * imagination + 7.0 * np.mean(apart))


def test_the_teacher_learns_classes_and_one_distribution():
    one = batch()
    values = []
    for weight in (0.0, 3.0):
        recipe = build("ifmmin", {**SMALL, "cmd": weight})
        teaching = recipe.stages()[0]
        (group, value), = teaching.turns(one)  # fmt: skip
        assert group in teaching.modules()
        values.append(value.item())
    blocks = recipe.towers.blocks(one)
    common = recipe.shared(blocks)
    both = torch.cat([*blocks, *common], dim=1)
    np.testing.assert_allclose(values[0], cross_entropy(recipe.head(both), one.y).item())
    rows = [common[m][one.present[:, m]] for m in range(3)]
    apart = sum(discrepancy(rows[i], rows[j]) for i, j in ((0, 1), (0, 2), (1, 2))) / 3
    np.testing.assert_allclose(values[1], values[0] + 3.0 * apart.item())
    said = teaching.logits(one)
    alone = teaching.logits(hidden(one, torch.tensor([[True, False, False]] * 14)))
    has = one.present[:, 0]
    torch.testing.assert_close(said.modality[0][has], alone.fused[has])
    assert not said.modality[0][~has].any()


def test_the_discrepancy_drives_distributions_together():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(30, 2)))
    y = torch.from_numpy(rng.normal(3.0, 2.0, size=(40, 2))).requires_grad_()
    optimizer, before = torch.optim.Adam([y], 0.05), discrepancy(x, y).item()
    for _ in range(200):
        optimizer.zero_grad()
        discrepancy(x, y).backward()
        optimizer.step()
    assert discrepancy(x, y) < 0.05 * before


def test_the_discrepancy_by_hand_and_by_a_slow_loop():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), rng.normal(1.0, 2.0, size=(9, 3))
    total = 0.0
    for k in range(1, 6):
        squares = 0.0
        for j in range(3):
            moments = [
                np.mean([(v - (np.mean(of[:, j]) if k > 1 else 0.0)) ** k for v in of[:, j]]) for of in (x, y)
            ]
            squares += (moments[0] - moments[1]) ** 2
        total += squares**0.5
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    np.testing.assert_allclose(float(discrepancy(*tensors)), total)
    np.testing.assert_allclose(float(discrepancy(tensors[1], tensors[0])), total)
    # means 0 and 1, variances 1 and 4, third moments 0, fourth 1 and 16
    small = discrepancy(torch.tensor([[-1.0], [1.0]]), torch.tensor([[-1.0], [3.0]]), 4)
    np.testing.assert_allclose(float(small), 1.0 + 3.0 + 0.0 + 15.0)


def test_the_discrepancys_gradient_is_that_of_differences_and_finite_where_all_agree():
    rng = np.random.default_rng(1)
    x, y = (torch.from_numpy(rng.normal(size=(n, 3))).requires_grad_() for n in (5, 7))
    assert torch.autograd.gradcheck(discrepancy, (x, y))
    same = x.detach().clone().requires_grad_()
    value = discrepancy(same, x.detach().clone())
    value.backward()
    assert value == 0
    assert torch.isfinite(same.grad).all()


def test_the_spread_leaves_out_who_is_not_there():
    rng = np.random.default_rng(2)
    blocks = torch.from_numpy(rng.normal(size=(3, 8, 2)))
    present = torch.ones(8, 3, dtype=torch.bool)
    present[:, 1] = False
    present[5:, 2] = False
    np.testing.assert_allclose(float(spread(blocks, present)), float(discrepancy(blocks[0], blocks[2][:5])))
    present[:, 2] = False
    assert spread(blocks, present) == 0
    assert spread(blocks, torch.zeros_like(present)) == 0


@pytest.mark.parametrize("option", ["invariant", "cmd"])
def test_weights_below_zero_are_refused(option):
    with pytest.raises(ValueError, match=option):
        build("ifmmin", {**SMALL, option: -1.0})


def test_names_of_the_stages():
    assert [task.name for task in build("ifmmin", SMALL).stages()] == ["ifmmin/teacher", "ifmmin"]
