"""MMCSAL's objective, gradients and trajectories against the reference vectors and finite differences."""

import numpy as np
import pytest
import torch

import modest
from modest import Views
from modest.neighbours import Rows, match
from modest.selection import mmcsal
from modest.selection.mmcsal import alignment, distribution_gap, diversity
from modest.selection.parametric import Settings, alignment_term, optimise, unit

OBJECTIVES, ALIGNS = ("printed", "self", "released"), ("none", "lse", "paired", "infonce")
TAU = 0.07


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/mmcsal_objective.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def leaves(ref, prefix="", modalities=2):
    """Items and unnormalised parameters, one entry per modality."""
    numbers = range(1, modalities + 1)
    r = {f"m{i}": torch.as_tensor(ref[f"{prefix}r{i}"]) for i in numbers}
    theta = {f"m{i}": torch.tensor(ref[f"{prefix}theta{i}"], requires_grad=True) for i in numbers}
    return r, theta


def swapped(theta):
    return dict(reversed(list(theta.items())))


# name in the file: the public function that gives it
TERMS = {
    "D": lambda r, theta: distribution_gap(r, theta, TAU),
    "R": lambda r, theta: diversity(theta, TAU),
    "R_self": lambda r, theta: diversity(theta, TAU, self_term=True),
    "A": lambda r, theta: alignment(theta, TAU, "lse"),
    "A_reverse": lambda r, theta: alignment(swapped(theta), TAU, "lse"),
    "P": lambda r, theta: alignment(theta, TAU, "paired"),
}


@pytest.mark.parametrize("name", TERMS)
def test_terms_and_their_gradients(ref, name):
    r, theta = leaves(ref)
    value = TERMS[name](r, theta)
    assert value.item() == pytest.approx(float(ref[name]), abs=1e-9)
    for half, grad in enumerate(torch.autograd.grad(value, list(theta.values()), allow_unused=True), start=1):
        np.testing.assert_allclose(grad.numpy(), ref[f"grad_{name}_theta{half}"], atol=1e-9, rtol=0)
        np.testing.assert_allclose(grad.numpy(), ref[f"grad_{name}_theta{half}_fd"], atol=1e-8, rtol=0)


def test_infonce_is_denominator_minus_pair(ref):
    _, theta = leaves(ref)
    expected = (ref["A"] + ref["A_reverse"]) / 2 - ref["P"]
    assert alignment(theta, TAU, "infonce").item() == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize("name", ["D", "R", "R_self"])
def test_terms_of_three_modalities(ref, name):
    r, theta = leaves(ref, "m3_", 3)
    value = TERMS[name](r, theta)
    assert value.item() == pytest.approx(float(ref[f"m3_{name}"]), abs=1e-9)
    for half, grad in enumerate(torch.autograd.grad(value, list(theta.values())), start=1):
        np.testing.assert_allclose(grad.numpy(), ref[f"m3_grad_{name}_theta{half}"], atol=1e-9, rtol=0)


def first_step(ref, prefix="", modalities=2, **knobs):
    """Objective, gradient at the leaves and assignment of the optimiser's first step at the stored parameters."""
    r, theta = leaves(ref, prefix, modalities)
    rows = Rows(Views({name: half.numpy() for name, half in r.items()}), precision="float64")
    start, seen = torch.cat([half.detach() for half in theta.values()], dim=1), []
    end = optimise(rows, start, Settings(steps=1, refresh=1, temperature=TAU, **knobs),
                   watch=lambda t, leaf: seen.append(leaf.grad.clone()))  # fmt: skip
    return end.losses[0], torch.split(seen[0], list(rows.dims), dim=1)


TOTALS = {
    "total_printed_div_none": ("printed", "none", {}),
    "total_printed_div_lse": ("printed", "lse", {}),
    "total_printed_div_paired": ("printed", "paired", {}),
    "total_printed_div_infonce": ("printed", "infonce", {}),
    "total_self_div_lse": ("self", "lse", {}),
    "total_released_lse": ("released", "lse", {}),
    "total_released_infonce": ("released", "infonce", {}),
    "released": ("released", "none", {}),
    "released_lambda_half": ("released", "none", {"lambda_div": 0.5}),
    "released_lambda_two": ("released", "none", {"lambda_div": 2.0}),
}


@pytest.mark.parametrize("name", TOTALS)
def test_first_objective_of_the_optimiser(ref, name):
    objective, align, knobs = TOTALS[name]
    value, _ = first_step(ref, objective=objective, align=align, **knobs)
    assert value == pytest.approx(float(ref[name]), abs=1e-9)


def test_the_print_of_equation_nine_collapses(ref):
    r, theta = leaves(ref)
    literal = TERMS["D"](r, theta) - TERMS["R"](r, theta) + TERMS["R"](r, theta)
    assert literal.item() == pytest.approx(float(ref["total_literal_R_R"]), abs=1e-9)
    assert float(ref["total_literal_R_R"]) == pytest.approx(float(ref["D"]), abs=1e-9)
    # plus A, the other literal reading, is none of our forms
    plus = ref["total_printed_div_literal_A"]
    assert all(abs(first_step(ref, objective="printed", align=align)[0] - plus) > 1 for align in ALIGNS)


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_first_gradient_of_the_optimiser(ref, objective, align):
    _, found = first_step(ref, objective=objective, align=align)
    for half in (1, 2):
        g = {name: ref[f"grad_{name}_theta{half}"] for name in (*TERMS, "released")}
        data = {"released": g["released"], "self": g["D"] - g["R_self"], "printed": g["D"] - g["R"]}[objective]
        contrast = (g["A"] + g["A_reverse"]) / 2 - g["P"]
        towards = {"none": 0.0, "lse": -g["A"], "paired": -g["P"], "infonce": contrast}[align]
        np.testing.assert_allclose(found[half - 1].numpy(), data + towards, atol=1e-9, rtol=0)
    if objective == "released" and align == "none":
        for half in (1, 2):
            np.testing.assert_allclose(found[half - 1].numpy(), ref[f"grad_released_theta{half}_fd"], atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    ("objective", "terms"), [("released", ("released",)), ("self", ("D", "R_self")), ("printed", ("D", "R"))]
)
def test_three_modalities_in_the_optimiser(ref, objective, terms):
    value, found = first_step(ref, "m3_", 3, objective=objective)
    signs = (1, -1)
    assert value == pytest.approx(sum(s * float(ref[f"m3_{t}"]) for s, t in zip(signs, terms)), abs=1e-9)
    for half, grad in enumerate(found, start=1):
        expected = sum(s * ref[f"m3_grad_{t}_theta{half}"] for s, t in zip(signs, terms))
        np.testing.assert_allclose(grad.numpy(), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("align", ["lse", "paired", "infonce"])
def test_alignment_of_three_modalities_by_finite_differences(align):
    rng = np.random.default_rng(3)
    knobs, dims = Settings(align=align, lambda_align=0.7, temperature=0.3), (4, 4, 4)
    u = torch.as_tensor(rng.normal(size=(5, 12)))
    _, gradient = alignment_term(u, dims, knobs, fast=False)
    parts = {str(m): u[:, 4 * m : 4 * m + 4] for m in range(3)}
    at_unit, _ = alignment_term(unit(u, dims), dims, knobs, fast=False)
    sign = 1.0 if align == "infonce" else -1.0
    assert at_unit == pytest.approx(sign * 0.7 * alignment(parts, 0.3, align).item(), abs=1e-12)
    for j, c in [(0, 0), (1, 5), (4, 11), (2, 7), (3, 9)]:
        values = []
        for h in (1e-5, -1e-5):
            moved = u.clone()
            moved[j, c] += h
            values.append(alignment_term(moved, dims, knobs, fast=False)[0])
        assert float(gradient[j, c]) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-8)


def paired_cosine(theta1, theta2):
    a, b = (t / np.linalg.norm(t, axis=1, keepdims=True) for t in (theta1, theta2))
    return float((a * b).sum(axis=1).mean())


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_trajectory(ref, objective, align):
    name = f"trajectory_{objective}_{align}"
    rows = Rows(Views({"a": ref["r1"], "b": ref["r2"]}), precision="float64")
    knobs = Settings(objective, align, steps=300, lr=float(ref["trajectory_lr"]), schedule="cosine", refresh=1)
    end = optimise(rows, rows.take(ref["trajectory_init"]).x, knobs)
    np.testing.assert_allclose(end.losses[0], ref[f"{name}_loss"][0], atol=1e-9, rtol=0)
    np.testing.assert_allclose(end.losses, ref[f"{name}_loss"], atol=1e-7, rtol=0)
    theta = np.concatenate([ref[f"{name}_theta1"], ref[f"{name}_theta2"]], axis=1)
    np.testing.assert_allclose(end.theta.numpy(), theta, atol=1e-7, rtol=0)
    assert int((end.counts == 0).sum()) == int(ref[f"{name}_dead"])
    picks, _ = match(rows, end.u, np.ones(len(rows), dtype=bool))
    np.testing.assert_array_equal(picks, ref[f"{name}_selected_by_parameter"])
    assert paired_cosine(*np.split(end.theta.numpy(), 2, axis=1)) == pytest.approx(
        float(ref[f"{name}_pair_cosine"]), abs=1e-7
    )


def choose(ref, **knobs):
    common = {"init": ref["trajectory_init"], "lr": float(ref["trajectory_lr"]), "refresh": 1, "precision": "float64"}
    return modest.select({"a": ref["r1"], "b": ref["r2"]}, 12, "mmcsal", **{**common, **knobs})


@pytest.mark.parametrize(
    ("knobs", "name"),
    [({"preset": "paper"}, "released_lse"), ({"preset": "library"}, "released_infonce"), ({}, "released_infonce"),
     ({"align": "none"}, "released_none"), ({"objective": "printed", "align": "paired"}, "printed_paired")],
)  # fmt: skip
def test_the_strategy_follows_its_knobs(ref, knobs, name):
    choice = choose(ref, **knobs)
    np.testing.assert_array_equal(choice.trace["by_parameter"], ref[f"trajectory_{name}_selected_by_parameter"])
    np.testing.assert_allclose(choice.trace["objective"], ref[f"trajectory_{name}_loss"], atol=1e-7, rtol=0)
    assert choice.trace["align"] == name.split("_")[1]
    assert choice.trace["dead"] == int(ref[f"trajectory_{name}_dead"])
    pair = float(ref[f"trajectory_{name}_pair_cosine"])
    assert choice.trace["pair_cosine_parameters"] == pytest.approx(pair, abs=1e-7)
    chosen = ref[f"trajectory_{name}_selected_by_parameter"]
    expected = paired_cosine(ref["r1"][chosen], ref["r2"][chosen])
    assert choice.trace["pair_cosine_chosen"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("align", ["lse", "paired", "infonce"])
def test_alignment_raises_the_pair_cosine(ref, align):
    off, on = (choose(ref, align=align, lambda_align=weight, steps=100, refresh=5) for weight in (0.0, 1.0))
    assert on.trace["pair_cosine_parameters"] > off.trace["pair_cosine_parameters"] + 0.01


def test_similarity_assignment_and_matching(ref):
    rows = Rows(Views({"a": ref["r1"], "b": ref["r2"]}), precision="float64")
    u = unit(torch.cat([torch.as_tensor(ref["theta1"]), torch.as_tensor(ref["theta2"])], dim=1), rows.dims)
    end = optimise(rows, u, Settings(steps=0))
    np.testing.assert_array_equal(end.assignment.numpy(), ref["assignment"])
    np.testing.assert_array_equal(end.counts.numpy(), ref["counts"])
    np.testing.assert_allclose(end.similarity.numpy(), ref["similarity"].max(axis=1), atol=1e-9, rtol=0)
    picks, before = match(rows, u, np.ones(len(rows), dtype=bool))
    np.testing.assert_array_equal(picks, ref["selected_by_parameter"])
    np.testing.assert_array_equal(before, ref["nearest_before_duplicates"])


def test_alignment_needs_one_shared_dimension():
    rng = np.random.default_rng(0)
    uneven = {"image": rng.normal(size=(30, 5)), "text": rng.normal(size=(30, 4))}
    for knobs in ({"align": "lse"}, {"align": "paired"}, {"align": "infonce"}, {"preset": "paper"}):
        with pytest.raises(ValueError, match=r"align=.* 5, 4"):
            modest.select(uneven, 3, "mmcsal", **knobs)
        with pytest.raises(ValueError, match="align="):
            modest.select(uneven["image"], 3, "mmcsal", **knobs)
    for views in (uneven, uneven["image"]):
        trace = modest.select(views, 3, "mmcsal", steps=5).trace
        assert trace["align"] == "none"
        assert trace["pair_cosine_parameters"] is None
    with pytest.raises(ValueError, match="preset='print' is unknown; known: paper, library"):
        modest.select(uneven, 3, "mmcsal", preset="print")
    with pytest.raises(ValueError, match="two modalities"):
        mmcsal.alignment({"image": torch.eye(3)}, 0.1)
