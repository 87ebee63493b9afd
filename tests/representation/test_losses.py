"""Eq. 1-4 of MMCSAL and PCL's concentration and prototype loss: reference vectors, slow loops, finite differences."""

import math

import numpy as np
import pytest
import torch

from modest.representation import cluster, concentration, cross_modal, info_nce, prototype_loss

VARIANTS = {  # name in the vectors -> knobs
    "batch_anchor_kept": {"phi": "anchor", "duplicates": "kept"},
    "batch_anchor_masked": {"phi": "anchor", "duplicates": "masked"},
    "batch_column_kept": {"phi": "column", "duplicates": "kept"},
    "batch_column_masked": {"phi": "column", "duplicates": "masked"},
    "all_anchor": {"phi": "anchor", "negatives": "all"},
    "all_column": {"phi": "column", "negatives": "all"},
    "batch_anchor_kept_rawphi": {"phi": "anchor", "duplicates": "kept"},
}


@pytest.fixture(scope="module")
def vectors(shared):
    with np.load(shared / "reference/selection/mmcsal_representation.npz", allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive}


@pytest.fixture(scope="module")
def pcl(shared):
    with np.load(shared / "reference/selection/pcl.npz", allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive}


def near(a, b, tolerance=1e-9):
    torch.testing.assert_close(torch.as_tensor(a, dtype=torch.float64), b.double(), rtol=0, atol=tolerance)


def test_info_nce_matches_the_vectors_with_its_gradient(vectors):
    a, b = (vectors[f"batch_raw{m}"].clone().requires_grad_() for m in (1, 2))
    loss = info_nce(a, b, float(vectors["temperature"]))
    near(loss.detach(), vectors["L_cross"])
    near(loss.detach(), (vectors["L_cross_per_item_1to2"] + vectors["L_cross_per_item_2to1"]).mean() / 2)
    loss.backward()
    near(a.grad, vectors["grad_L_cross_raw1"])
    near(b.grad, vectors["grad_L_cross_raw2"])


@pytest.mark.parametrize("m", [1, 2])
def test_concentration_matches_the_vectors(vectors, m):
    features, centroids = vectors[f"features{m}"], vectors[f"centroids{m}"]
    assignment = vectors[f"assignment{m}"]
    near(concentration(features, centroids, assignment), vectors[f"phi_rescaled{m}"])
    assert torch.equal(torch.bincount(assignment, minlength=16), vectors[f"cluster_sizes{m}"])
    # to the centre divided by its norm the same members are at other distances: the vectors' own wrong reading
    unit = torch.nn.functional.normalize(centroids, dim=1)
    assert (concentration(features, unit, assignment) - vectors[f"phi_rescaled{m}"]).abs().max() > 1e-4


@pytest.mark.parametrize("kind", ["kmeans", "given"])
def test_concentration_matches_pcl(pcl, kind):
    got = concentration(
        pcl["features"].double(),
        pcl[f"{kind}_centroids"].double(),
        pcl[f"{kind}_assignment"],
        temperature=float(pcl["temperature"]),
    )
    near(got, pcl[f"{kind}_phi"])
    near(got, pcl[f"{kind}_phi_official"], 1e-5)


def test_prototype_loss_matches_pcl_with_sampled_negatives(pcl):
    about = (pcl["given_centroids"].double(), pcl["batch_cluster"], pcl["given_phi"])
    query, drawn = pcl["batch_query_raw"].double(), pcl["negative_prototypes"]
    near(prototype_loss(query, *about, negatives=drawn, duplicates="kept"), pcl["proto_loss"])
    near(prototype_loss(query, *about, negatives=drawn), pcl["proto_loss_duplicates_masked"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_prototype_loss_matches_the_vectors_with_its_gradient(vectors, variant):
    losses = []
    for m in (1, 2):
        phi = vectors[f"phi_{'filled' if 'rawphi' in variant else 'rescaled'}{m}"]
        r = vectors[f"batch_raw{m}"].clone().requires_grad_()
        about = (vectors[f"centroids{m}"], vectors[f"batch_cluster{m}"], phi)
        loss = prototype_loss(r, *about, **VARIANTS[variant])
        near(loss.detach(), vectors[f"L_uni_{variant}_m{m}"])
        loss.backward()
        near(r.grad, vectors[f"grad_L_uni_{variant}_m{m}"])
        losses.append(loss.detach())
    near(sum(losses) / 2, vectors[f"L_uni_{variant}"])
    cross = info_nce(vectors["batch_raw1"], vectors["batch_raw2"], 0.07)
    near(cross / 2 + sum(losses) / 4, vectors[f"L_{variant}"])


def test_the_defaults_are_the_sound_reading(vectors):
    about = (vectors["batch_raw1"], vectors["centroids1"], vectors["batch_cluster1"], vectors["phi_rescaled1"])
    near(prototype_loss(*about), vectors["L_uni_batch_column_masked_m1"])
    assert prototype_loss(*about) < prototype_loss(*about, duplicates="kept")


def data(n=7, d=4, clusters=3, seed=0):
    rng = np.random.default_rng(seed)
    r = torch.from_numpy(rng.standard_normal((n, d)))
    p = torch.from_numpy(rng.standard_normal((clusters, d)))
    a = torch.from_numpy(rng.integers(0, clusters, n))
    return r, p, a, torch.from_numpy(rng.uniform(0.05, 0.3, clusters))


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


@pytest.mark.parametrize("negatives", ["in_batch", "all"])
@pytest.mark.parametrize("phi", ["column", "anchor"])
@pytest.mark.parametrize("duplicates", ["masked", "kept"])
def test_prototype_loss_is_the_slow_loop(negatives, phi, duplicates):
    r, p, a, f = data()
    total = 0.0
    for i in range(len(r)):
        own = int(a[i])
        value = lambda c, i=i, own=own: cosine(r[i], p[c]) / float(f[own if phi == "anchor" else c])  # noqa: E731
        if negatives == "all":
            terms = [value(c) for c in range(len(p))]
        else:
            terms = [value(int(a[j])) for j in range(len(r)) if j == i or duplicates == "kept" or int(a[j]) != own]
        total -= value(own) - math.log(sum(math.exp(t) for t in terms))
    near(prototype_loss(r, p, a, f, negatives, phi, duplicates), torch.tensor(total / len(r), dtype=torch.float64))


def test_gradients_by_finite_differences():
    r, p, a, f = data()
    other = data(seed=1)[0]
    for loss in (lambda x: info_nce(x, other, 0.2), lambda x: prototype_loss(x, p, a, f)):
        x = r.clone().requires_grad_()
        loss(x).backward()
        for i, j in [(0, 0), (3, 2), (6, 3)]:
            step = torch.zeros_like(r)
            step[i, j] = 1e-5
            slope = (loss(r + step) - loss(r - step)) / 2e-5
            assert float(slope) == pytest.approx(float(x.grad[i, j]), abs=1e-8)


def test_three_modalities_are_the_mean_over_pairs_that_exist():
    r = [data(seed=s)[0] for s in range(3)]
    present = torch.ones(7, 3, dtype=torch.bool)
    present[0, 1] = present[2, 2] = False
    kept = {(0, 1): [1, 2, 3, 4, 5, 6], (0, 2): [0, 1, 3, 4, 5, 6], (1, 2): [1, 3, 4, 5, 6]}
    expected = sum(float(info_nce(r[a][k], r[b][k], 0.3)) for (a, b), k in kept.items()) / 3
    assert float(cross_modal(r, present, 0.3)) == pytest.approx(expected, abs=1e-12)
    # what stands in absent rows reaches neither the loss nor a gradient
    x = r[1].clone().requires_grad_()
    cross_modal([r[0], x, r[2]], present, 0.3).backward()
    assert not x.grad[0].any()
    assert x.grad[1:].any()
    nobody = torch.zeros(7, 3, dtype=torch.bool)
    nobody[:, 0] = True
    assert cross_modal(r, nobody) is None


def test_cluster_finds_the_groups_and_gives_their_looseness():
    rng = np.random.default_rng(0)
    centres = np.eye(6)[:3]
    label = np.repeat([0, 1, 2], [40, 30, 20])
    spread = np.array([0.02, 0.1, 0.3])[label][:, None]
    x = torch.nn.functional.normalize(torch.from_numpy(centres[label] + spread * rng.standard_normal((90, 6))), dim=1)
    found = cluster(x.float(), 3, seed=0)
    assert len({(int(a), int(b)) for a, b in zip(found.assignment, label)}) == 3
    order = [int(found.assignment[k]) for k in (0, 50, 80)]
    tight, middle, loose = (float(found.concentration[c]) for c in order)
    assert tight < middle < loose
    assert float(found.concentration.mean()) == pytest.approx(0.07, rel=1e-5)
    assert torch.equal(found.assignment, cluster(x.float(), 3, seed=0).assignment)


def test_clusters_of_copies_do_not_divide_by_zero():
    x = torch.eye(3).repeat(4, 1)
    found = cluster(x, 3)
    assert torch.allclose(found.concentration, torch.full((3,), 0.07))
    assert torch.isfinite(prototype_loss(x, found.centroids, found.assignment, found.concentration))


@pytest.mark.parametrize("count", [0, 5])
def test_prototypes_beyond_the_rows_are_refused(count):
    with pytest.raises(ValueError, match="prototypes"):
        cluster(torch.eye(8), count)


@pytest.mark.parametrize("bad", [{"negatives": "some"}, {"phi": "row"}, {"duplicates": "maybe"}])
def test_unknown_choices_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        prototype_loss(*data(), **bad)
    with pytest.raises(ValueError, match="no pair"):
        info_nce(torch.zeros(0, 3), torch.zeros(0, 3))
    with pytest.raises(ValueError, match="shape"):
        info_nce(torch.zeros(2, 3), torch.zeros(3, 3))
