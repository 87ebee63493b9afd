"""Stage 1: what a step minimises, when prototypes begin, absence, several processes, taking up a cut run, saving."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import modest
from modest.representation import Objective, cluster, info_nce, pretrain, prototype_loss
from modest.training import Plan
from modest.types import Views


def views(n=96, seed=0, names=("a", "b"), missing=0.0):
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((n, 4))
    arrays = {m: (hidden @ rng.standard_normal((4, 6 + k))).astype(np.float32) for k, m in enumerate(names)}
    present = None
    if missing:
        present = rng.random((n, len(names))) >= missing
        present[np.arange(n), rng.integers(0, len(names), n)] = True
    return Views(arrays, present)


PLAN = Plan(epochs=4, lr=1e-3, warmup=2, schedule="cosine", weight_decay=0.02, betas=(0.9, 0.95))


def run(data=None, objective=None, plan=PLAN, **more):
    return pretrain(data or views(), objective=objective or Objective(6), plan=plan, batch_size=32, width=8, **more)


def losses(training):
    return [record.values["losses"]["all"] for record in training if "losses" in record.values]


def test_a_step_minimises_the_halves_of_both_losses():
    data = views()
    training = run(data, Objective(6), Plan(epochs=1, lr=1e-3))  # no warm-up: prototypes from the first step
    untrained = run(data, Objective(6), Plan(epochs=1, lr=1e-3))
    before = untrained._result().encode(data).arrays  # nothing was trained yet
    first = next(iter(training))
    order = np.random.default_rng([0, 0]).permutation(np.arange(96))[:32]
    r = {m: torch.from_numpy(x) for m, x in before.items()}
    uni = []
    for x in r.values():
        found = cluster(x, 6, seed=0)
        uni.append(prototype_loss(x[order], found.centroids, found.assignment[order], found.concentration))
    cross = info_nce(r["a"][order], r["b"][order], 0.07)
    assert first.values["loss"] == pytest.approx(float(cross / 2 + sum(uni) / 4), abs=2e-5)


def test_prototypes_begin_after_the_warm_up_only():
    with_, without = losses(run(objective=Objective(6))), losses(run(objective=Objective(0)))
    assert with_[:2] == without[:2]
    assert with_[2] != without[2]


def test_a_short_run_has_prototypes_too_and_a_warm_up_without_end_is_refused(monkeypatch):
    from modest.representation import objective

    calls, plain = [], objective.cluster
    monkeypatch.setattr(objective, "cluster", lambda *more: calls.append(1) or plain(*more))
    losses(run(plan=Plan(epochs=1, warmup=0.2)))
    assert len(calls) == 2
    losses(run(plan=Plan(epochs=2, warmup=1.5)))
    assert len(calls) == 4
    assert len(losses(run(objective=Objective(0, warmup=9), plan=Plan(epochs=1)))) == 1
    assert len(calls) == 4
    with pytest.raises(ValueError, match=r"warmup=3\.5 of 4 epochs leaves none"):
        run(objective=Objective(6, warmup=3.5))


@pytest.mark.parametrize("cluster_on", ["eval", "epoch"])
def test_training_learns_and_is_the_same_for_the_same_seed(cluster_on):
    training = run(objective=Objective(6, cluster_on=cluster_on), plan=Plan(epochs=12, lr=3e-3, warmup=2))
    seen = losses(training)
    assert seen[1] < seen[0]
    out = training.result.encode(views())
    paired = (out.arrays["a"] * out.arrays["b"]).sum(axis=1)
    shuffled = (out.arrays["a"] * np.roll(out.arrays["b"], 1, axis=0)).sum(axis=1)
    assert paired.mean() > shuffled.mean() + 0.4
    again = run(objective=Objective(6, cluster_on=cluster_on), plan=Plan(epochs=12, lr=3e-3, warmup=2))
    assert losses(again) == seen


def test_the_two_ways_of_clustering_differ():
    one, other = (losses(run(objective=Objective(6, cluster_on=way))) for way in ("eval", "epoch"))
    assert one[:2] == other[:2]
    assert one != other


def test_absent_rows_are_skipped_whatever_stands_in_them():
    data = views(names=("a", "b", "c"), missing=0.4)
    other = {m: x.copy() for m, x in data.arrays.items()}
    for k, x in enumerate(other.values()):
        x[~data.present[:, k]] = np.nan
    first, second = run(data), run(Views(other, data.present))
    assert losses(first) == losses(second)
    out = first.result.encode(data)
    assert np.array_equal(out.present, data.present)
    assert np.isnan(out.arrays["a"][~data.present[:, 0]]).all()
    norms = np.linalg.norm(out.arrays["a"][data.present[:, 0]], axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)


def test_a_modality_that_is_not_there_at_all_counts_as_absent_when_encoding():
    data = views()
    out = run(data).result.encode({"b": data.arrays["b"]})
    assert out.present.tolist() == [[False, True]] * 96


def test_rows_are_encoded_as_asked_and_features_that_are_not_finite_are_an_error():
    data = views(missing=0.3)
    made = run(data).result
    rows = np.array([90, 3, 3, 41])
    whole, some = made.encode(data), made.encode(data, rows)
    assert some.ids.tolist() == whole.ids[rows].tolist()
    for m in whole.names:
        np.testing.assert_allclose(some.arrays[m], whole.arrays[m][rows], atol=1e-6)
    with pytest.raises(TypeError, match="rows is bool"):
        made.encode(data, np.arange(96) < 3)
    with torch.no_grad():
        made.net.projectors[1].bias.fill_(torch.nan)
    with pytest.raises(ValueError, match="the encoder of b gives features that are not finite"):
        made.encode(data)


def test_only_the_rows_asked_for_are_trained_on():
    data = views()
    changed = Views({m: x.copy() for m, x in data.arrays.items()})
    for x in changed.arrays.values():
        x[64:] += 100.0
    rows = np.arange(64)
    assert losses(run(data, rows=rows)) == losses(run(changed, rows=rows))


@pytest.mark.parametrize("cluster_on", ["eval", "epoch"])
@pytest.mark.parametrize("cut", [0, 2])
def test_a_cut_run_goes_on_to_the_same_bits(tmp_path, cluster_on, cut):
    about = Objective(6, cluster_on=cluster_on)
    whole = run(objective=about)
    told, out = losses(whole), whole.result.encode(views())
    for record in run(objective=about, checkpoint=tmp_path / "run"):
        if "losses" in record.values and record.epoch == cut:
            break
    again = run(objective=about, checkpoint=tmp_path / "run")
    assert losses(again) == told
    assert all(np.array_equal(out.arrays[m], again.result.encode(views()).arrays[m]) for m in out.names)
    with pytest.raises(ValueError, match="other settings or data"):
        losses(run(objective=Objective(5), checkpoint=tmp_path / "run"))
    with pytest.raises(ValueError, match="other settings or data"):
        losses(run(views(seed=1), objective=about, checkpoint=tmp_path / "run"))


def test_saved_and_loaded_it_gives_the_same_views(tmp_path):
    data = views()
    made = run(data).result
    made.save(tmp_path / "model")
    loaded = modest.load(tmp_path / "model")
    out, again = made.encode(data), loaded.encode(data)
    assert all(np.array_equal(out.arrays[m], again.arrays[m]) for m in out.names)
    assert loaded.about["history"] == made.about["history"]
    assert json.loads((tmp_path / "model/config.json").read_text())["kind"] == "representation"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"encoders": {"a": "mlp"}}, "at least two"),
        ({"encoders": {"a": "mlp", "b": "lstm"}}, "name='lstm' is unknown"),
        ({"encoders": {"a": "mlp", "b": "resnet18"}}, "only a Pool has"),
        ({"encoders": {"a": "mlp", "c": "mlp"}}, "no modality 'c'|needs a ready view"),
        ({"plan": Plan(epochs=1, rates={"text": 1e-5})}, "rates names 'text'; known: a, b, projectors"),
        ({"rows": np.arange(3)}, "3 rows to train on"),
        ({"objective": Objective(60, warmup=0)}, "prototypes=60 for 96 rows"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(more, told):
    with pytest.raises(ValueError, match=told):
        losses(run(**more))


@pytest.mark.parametrize(
    "bad", [{"cluster_on": "never"}, {"negatives": "x"}, {"temperature": 0}, {"prototypes": -1}, {"phi": "x"}]
)
def test_objective_refuses(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Objective(**bad)


def test_too_many_prototypes_are_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match="prototypes=60 for 96 rows of a"):
        run(objective=Objective(60))  # the plan warms up for two epochs first
    data = views(names=("a", "b", "c"))
    data = Views(data.arrays, np.stack([np.ones(96, bool), np.ones(96, bool), np.arange(96) < 9], axis=1))
    with pytest.raises(ValueError, match="prototypes=6 for 9 rows of c; give at most half"):
        run(data, Objective(6))
    assert len(losses(run(data, Objective(4)))) == 4


@pytest.mark.parametrize(
    ("rows", "error", "told"),
    [
        (np.arange(96) < 40, TypeError, "rows is bool"),
        ([0, 1, 2, 3, 96], ValueError, "rows holds 96, and the table has the rows 0 to 95"),
        ([0, 1, 2, -1], ValueError, "rows holds -1"),
    ],
)
def test_rows_are_numbers_of_rows(rows, error, told):
    with pytest.raises(error, match=told):
        run(rows=rows)


def test_features_are_held_of_training_rows_only(tmp_path):
    from safetensors import safe_open

    rows = np.arange(95, 31, -1)  # in an order of their own, the table's first rows left out
    about = {"objective": Objective(6, cluster_on="epoch"), "rows": rows}
    whole = run(**about)
    told, out = losses(whole), whole.result.encode(views())
    for record in run(**about, checkpoint=tmp_path / "run"):
        if "losses" in record.values and record.epoch == 2:
            break
    with safe_open(tmp_path / "run", "pt") as file:
        bank = file.get_tensor("task/0/bank")
    assert bank.shape == (2, 64, 8)
    assert not bank.isnan().any()
    again = run(**about, checkpoint=tmp_path / "run")
    assert losses(again) == told
    assert all(np.array_equal(out.arrays[m], again.result.encode(views()).arrays[m]) for m in out.names)


@pytest.mark.parametrize("cluster_on", ["eval", "epoch"])
def test_rows_are_drawn_to_their_own_prototypes(monkeypatch, cluster_on):
    """With absences and some of the rows: what the loss is given for a row is the cluster its own features went to."""
    from modest.representation import objective

    data, rows, made, seen = views(missing=0.3), np.random.default_rng(3).permutation(96)[:70], [], []
    plain_cluster, plain_loss = objective.cluster, objective.prototype_loss

    def cluster(features, *more):
        made.append(features)
        return plain_cluster(features, *more)

    def prototype_loss(r, centroids, assignment, *more):
        seen.append((r.detach(), centroids, assignment))
        return plain_loss(r, centroids, assignment, *more)

    monkeypatch.setattr(objective, "cluster", cluster)
    monkeypatch.setattr(objective, "prototype_loss", prototype_loss)
    plan = Plan(epochs=2, lr=1e-12, warmup=0)  # nothing moves, so features in training are those that were clustered
    losses(run(data, Objective(6, cluster_on=cluster_on), plan, rows=rows))
    counts = [int(data.present[rows, m].sum()) for m in range(2)]
    assert [len(features) for features in made[:2]] == counts
    assert len(seen) == 2 * 2 * 2
    for r, centroids, assignment in seen:
        nearest = torch.cdist(r, centroids).argmin(dim=1)
        assert torch.equal(nearest, assignment)


def test_clusters_and_losses_are_computed_in_full_precision_under_autocast(monkeypatch):
    from modest.representation import Embedding, objective

    told = {}

    def watch(place, name, key):
        plain = getattr(place, name)

        def watched(*arguments, **more):
            told.setdefault(key, set()).add(torch.is_autocast_enabled("cpu"))
            return plain(*arguments, **more)

        monkeypatch.setattr(place, name, watched)

    for name in ("cluster", "cross_modal", "prototype_loss"):
        watch(objective, name, name)
    watch(Embedding, "forward", "encoders")
    losses(run(plan=Plan(epochs=1, autocast=True)))
    assert told == {"cluster": {False}, "cross_modal": {False}, "prototype_loss": {False}, "encoders": {True}}


def test_backbones_handed_in_stay_as_they_are_and_keep_their_scale():
    data = views()
    first = run(data).result
    before = {m: {k: v.clone() for k, v in b.net.state_dict().items()} for m, b in first.backbones.items()}
    other = Views({m: 5 + 2 * x for m, x in data.arrays.items()})
    again = run(other, encoders=first.backbones).result
    for m, backbone in first.backbones.items():
        now = again.backbones[m].net.state_dict()
        assert all(torch.equal(before[m][k], v) for k, v in backbone.net.state_dict().items())
        assert not torch.equal(now["layers.0.weight"], before[m]["layers.0.weight"])
        assert torch.equal(now["shift"], before[m]["shift"])


WORKER = """
import sys, json, torch
from modest.training import world
from tests.representation.test_pretrain import gathered
torch.set_num_threads(1)
here = world()
told = gathered(here)
if here.main:
    open(sys.argv[1], "w").write(json.dumps(told))
here.wait()
"""


def gathered(world):
    """Losses and final weights of a short training with absences, prototypes and two ways of clustering."""
    told = {}
    for cluster_on in ("eval", "epoch"):
        training = pretrain(
            views(names=("a", "b", "c"), missing=0.3),
            objective=Objective(6, cluster_on=cluster_on),
            plan=PLAN,
            batch_size=25,
            width=8,
            world=world,
        )
        steps = [record.values["loss"] for record in training if "loss" in record.values]
        net = training.result.net
        told[cluster_on] = {"loss": steps, "weights": [float(p.detach().sum()) for p in net.parameters()]}
    return told


def test_two_processes_are_one_with_the_same_global_batch(tmp_path):
    from modest.training import World

    script, out = tmp_path / "worker.py", tmp_path / "told.json"
    script.write_text(WORKER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(__file__).resolve().parents[2]
    about = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = ["torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}", str(script), str(out)]
    done = subprocess.run([sys.executable, "-m", *command], env=os.environ | about, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    two, one = json.loads(out.read_text()), gathered(World())
    for cluster_on, expected in one.items():
        assert len(expected["loss"]) == 12
        np.testing.assert_allclose(two[cluster_on]["loss"], expected["loss"], rtol=2e-4)
        np.testing.assert_allclose(two[cluster_on]["weights"], expected["weights"], atol=2e-3)
