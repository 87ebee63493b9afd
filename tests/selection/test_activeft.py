"""ActiveFT against the reference vectors, an autograd oracle and finite differences."""

import numpy as np
import pytest
import torch

import modest
from modest import Views
from modest.neighbours import Rows, match
from modest.selection import parametric
from modest.selection.parametric import Settings, optimise, start_at

CASES = {
    # case: views, start, knobs
    "plain": (("x",), "plain_init", {}),
    "cosine": (("x",), "plain_init", {"schedule": "cosine"}),
    "balance": (("x",), "plain_init", {"balance": 0.25}),
    "crowded": (("crowded_x",), "crowded_init", {"lr": 5e-3}),
    "two_joint": (("x1+x2",), "two_init", {}),
    "two_halves": (("x1", "x2"), "two_init", {}),
}


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/activeft.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def views_of(ref, names):
    joined = {n: np.concatenate([ref[part] for part in n.split("+")], axis=1) for n in names}
    return Views(joined)


def settings(case, ref, **more):
    knobs = dict(CASES[case][2])
    if "balance" in knobs:
        knobs["lambda_div"] = knobs.pop("balance")
    return Settings(**{"schedule": "constant", "refresh": 1, "steps": int(ref[f"{case}_iterations"]), **knobs, **more})


def run(ref, case, precision, watch=None):
    names, init, _ = CASES[case]
    rows = Rows(views_of(ref, names), precision=precision)
    start = start_at(rows, rows.take(ref[init]))
    if case == "two_halves":
        start = start / 2**0.5
    end = optimise(rows, start, settings(case, ref), watch=watch)
    return rows, end


def unit_end(end, case):
    """Unit parameters as the file stores them: halves scaled so that the whole has norm one."""
    return (end.u / (2**0.5 if case == "two_halves" else 1)).numpy()


@pytest.mark.parametrize("case", CASES)
def test_float64_run_is_the_reference_run(ref, case):
    snaps = {}
    rows, end = run(ref, case, "float64", watch=lambda t, leaf: snaps.__setitem__(t, leaf.clone().numpy()))
    steps = int(ref[f"{case}_iterations"])
    assert end.refreshed == list(range(steps))
    np.testing.assert_allclose(end.losses[0], ref[f"{case}_loss64"][0], atol=1e-9, rtol=0)
    np.testing.assert_allclose(end.losses, ref[f"{case}_loss64"], atol=1e-7, rtol=0)
    np.testing.assert_allclose(end.theta.numpy(), ref[f"{case}_theta_raw64"], atol=1e-7, rtol=0)
    np.testing.assert_allclose(snaps[steps], ref[f"{case}_theta_raw64"], atol=1e-7, rtol=0)
    np.testing.assert_allclose(unit_end(end, case), ref[f"{case}_theta64"], atol=1e-7, rtol=0)
    np.testing.assert_array_equal(end.assignment.numpy(), ref[f"{case}_assignment_end"])
    by_parameter, before = match(rows, end.u, np.ones(len(rows), dtype=bool))
    np.testing.assert_array_equal(by_parameter, ref[f"{case}_selected_by_parameter"])
    np.testing.assert_array_equal(before, ref[f"{case}_nearest_before_duplicates"])
    if case == "plain":
        for at, theta in zip(ref["plain_snap_iterations"], ref["plain_theta_raw64_at"]):
            np.testing.assert_allclose(snaps[int(at)], theta, atol=1e-7, rtol=0)


@pytest.mark.parametrize("case", [case for case in CASES if case != "two_halves"])
def test_the_strategy_chooses_the_reference_rows(ref, case):
    names, init, knobs = CASES[case]
    steps = int(ref[f"{case}_iterations"])
    choice = modest.select(
        views_of(ref, names), len(ref[init]), "activeft",
        init=ref[init], steps=steps, refresh=1, precision="float64", **knobs,
    )  # fmt: skip
    np.testing.assert_array_equal(choice.trace["by_parameter"], ref[f"{case}_selected_by_parameter"])
    np.testing.assert_array_equal(choice.trace["before_duplicates"], ref[f"{case}_nearest_before_duplicates"])
    np.testing.assert_array_equal(np.sort(choice.rows), ref[f"{case}_selected_sorted"])
    np.testing.assert_allclose(choice.trace["objective"], ref[f"{case}_loss64"], atol=1e-7, rtol=0)
    counts = np.bincount(ref[f"{case}_assignment_end"], minlength=len(ref[init]))
    np.testing.assert_allclose(choice.scores, np.sort(counts)[::-1] / counts.sum())
    assert choice.trace["dead"] == int((counts == 0).sum())
    collisions = len(counts) - len(np.unique(ref[f"{case}_nearest_before_duplicates"]))
    assert choice.trace["collisions"] == collisions
    if case == "crowded":
        assert collisions == 3


@pytest.mark.parametrize("case", CASES)
def test_float32_run_stays_near(ref, case):
    rows, end = run(ref, case, "float32")
    np.testing.assert_allclose(end.losses, ref[f"{case}_loss64"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(end.losses, ref[f"{case}_loss32"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(unit_end(end, case), ref[f"{case}_theta32"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(unit_end(end, case), ref[f"{case}_theta64"], atol=1e-5, rtol=0)
    np.testing.assert_array_equal(
        match(rows, end.u, np.ones(len(rows), dtype=bool))[0], ref[f"{case}_selected_by_parameter"]
    )


@pytest.mark.parametrize("shortlist", [1, 2, 3, 16, 90])
def test_duplicates_are_resolved_in_parameter_order(ref, shortlist):
    rows = Rows(Views({"x": ref["resolve_x"]}), precision="float64")
    theta = parametric.unit(torch.as_tensor(ref["resolve_theta"]), rows.dims)
    picks, before = match(rows, theta, np.ones(90, dtype=bool), shortlist=shortlist)
    np.testing.assert_array_equal(picks, ref["resolve_selected_by_parameter"])
    np.testing.assert_array_equal(before, ref["resolve_nearest_before_duplicates"])
    assert 40 - len(np.unique(before)) == 10


def test_starts_from_farthest_rows(ref):
    views = views_of(ref, ("x",))
    rows = Rows(views, precision="float64")
    first = int(ref["fps_first"])
    picks = modest.select(views, 16, "kcenter", first=first).rows
    np.testing.assert_array_equal(picks, ref["fps_init"])
    end = optimise(rows, start_at(rows, rows.take(picks)), settings("plain", ref, steps=5))
    np.testing.assert_allclose(end.losses, ref["fps_loss64"], atol=1e-9, rtol=0)
    choice = modest.select(views, 16, "activeft", init="farthest", steps=0, seed=3)
    start = modest.select(views, 16, "kcenter", seed=3)
    assert choice.trace["kept_from_start"] == 1.0
    np.testing.assert_array_equal(choice.trace["by_parameter"], start.rows)


@pytest.mark.parametrize(
    ("objective", "released", "total"),
    [("released", True, None), ("printed", False, "R_printed"), ("self", False, "R_with_self")],
)
@pytest.mark.parametrize("when", ["start", "end"])
def test_losses_of_the_three_forms(ref, when, objective, released, total):
    rows = Rows(views_of(ref, ("x",)), precision="float64")
    theta = rows.take(ref["plain_init"]).x if when == "start" else torch.as_tensor(ref["plain_theta_raw64"])
    end = optimise(rows, theta, settings("plain", ref, steps=1, objective=objective))
    expected = ref[f"{when}_loss_released"] if released else ref[f"{when}_D_printed"] - ref[f"{when}_{total}"]
    np.testing.assert_allclose(end.losses[0], expected, atol=1e-9, rtol=0)


def test_first_gradient_and_assignment(ref):
    rows = Rows(views_of(ref, ("x",)), precision="float64")
    start, seen = start_at(rows, rows.take(ref["plain_init"])), []
    optimise(rows, start, settings("plain", ref, steps=1), watch=lambda t, leaf: seen.append(leaf.grad.clone()))
    np.testing.assert_allclose(seen[0].numpy(), ref["start_grad_released"], atol=1e-9, rtol=0)
    still = optimise(rows, start, settings("plain", ref, steps=0))
    np.testing.assert_array_equal(still.assignment.numpy(), ref["start_assignment"])
    np.testing.assert_array_equal(still.counts.numpy(), ref["start_counts"])


def test_taken_rows_stand_first_and_never_move(ref):
    mask = np.zeros(400, dtype=bool)
    mask[ref["taken_labelled"]] = True
    rows = Rows(views_of(ref, ("x",)), precision="float64")
    fixed = start_at(rows, rows.take(ref["taken_labelled"]))
    end = optimise(
        rows, start_at(rows, rows.take(ref["taken_init"])), settings("plain", ref, steps=60), used=~mask, fixed=fixed
    )
    np.testing.assert_allclose(end.losses, ref["taken_loss64"], atol=1e-7, rtol=0)
    np.testing.assert_allclose(end.u.numpy(), ref["taken_theta64"], atol=1e-7, rtol=0)
    choice = modest.select(
        {"x": ref["x"]}, 9, "activeft", taken=mask, init=ref["taken_init"], steps=60, refresh=1, precision="float64"
    )
    np.testing.assert_allclose(choice.trace["objective"], ref["taken_loss64"], atol=1e-7, rtol=0)
    np.testing.assert_array_equal(choice.trace["by_parameter"], ref["taken_selected_correct_by_parameter"])
    assert set(choice.rows.tolist()) != set(ref["taken_selected_official"].tolist())
    assert not mask[choice.rows].any()


def objective(choice):
    return choice.trace["objective"][-1]


def test_refresh_and_bf16_hardly_move_the_objective(ref):
    common = {"init": ref["plain_init"], "steps": 300}
    exact = modest.select(views_of(ref, ("x",)), 16, "activeft", refresh=1, precision="float64", **common)
    for knobs in ({"refresh": 1}, {"refresh": 5}, {"refresh": 5, "precision": "float32"}):
        choice = modest.select(views_of(ref, ("x",)), 16, "activeft", **common, **knobs)
        at = choice.trace["objective_steps"][-1]
        assert objective(choice) == pytest.approx(exact.trace["objective"][at], rel=5e-3)
        assert len(np.intersect1d(choice.rows, exact.rows)) >= 13
        assert choice.trace["coverage"] == pytest.approx(exact.trace["coverage"], rel=5e-3)


def dense_loss(x, present, theta, fixed, used, dims, tau, balance):
    """The released loss written out with autograd: every row against every parameter, k = j kept, k stopped."""
    unit = [torch.nn.functional.normalize(half, dim=1) for half in torch.split(theta, dims, dim=1)]
    moving = torch.cat(unit, dim=1)
    everything = torch.cat([fixed, moving])
    total = 0.0
    for i in np.flatnonzero(used):
        s = torch.zeros(len(everything), dtype=torch.float64)
        begin = 0
        for m, d in enumerate(dims):
            if present[i, m]:
                s = s + everything[:, begin : begin + d] @ x[i, begin : begin + d]
            begin += d
        s = s / present[i].sum()
        j = int(s.argmax())
        repel = (everything.detach() @ everything[j]) / len(dims) / tau
        total = total + torch.log(1 + balance * torch.exp(repel).sum() / torch.exp(s[j] / tau))
    return total / used.sum()


def test_gradient_with_absent_modalities_taken_rows_and_balance():
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(40, 5)), rng.normal(size=(40, 4))
    present = np.ones((40, 2), dtype=bool)
    present[::3, 0], present[1::3, 1] = False, False
    rows = Rows(Views({"image": image, "text": text}, present=present), precision="float64")
    unit = np.concatenate([v / np.linalg.norm(v, axis=1, keepdims=True) for v in (image, text)], axis=1)
    used = np.arange(40) >= 4
    fixed = torch.as_tensor(unit[[2, 11, 20]])
    theta = torch.tensor(rng.normal(size=(6, 9)), requires_grad=True)
    seen = []
    knobs = Settings(lambda_div=0.4, temperature=0.2, steps=1, refresh=1, schedule="constant")
    end = optimise(
        rows, theta.detach(), knobs, used=used, fixed=fixed, watch=lambda t, leaf: seen.append(leaf.grad.clone())
    )
    loss = dense_loss(torch.as_tensor(unit), present, theta, fixed, used, [5, 4], 0.2, 0.4)
    loss.backward()
    assert end.losses[0] == pytest.approx(loss.item(), abs=1e-12)
    np.testing.assert_allclose(seen[0].numpy(), theta.grad.numpy(), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    "knob", [{"objective": "paper"}, {"schedule": "linear"}, {"temperature": 0.0}, {"lr": -1.0}, {"balance": 0.0},
             {"steps": -1}, {"refresh": 0}, {"init": "nearest"}, {"init": [0, 0, 1]}, {"init": [0, 1]},
             {"init": [0, 1, 400]}, {"init": [0.0, 1.0, 2.0]}, {"precision": "bf16"}],
)  # fmt: skip
def test_refuses_knobs_out_of_range(knob):
    with pytest.raises(ValueError, match=next(iter(knob))):
        modest.select(np.eye(6, dtype=np.float32), 3, "activeft", **knob)
