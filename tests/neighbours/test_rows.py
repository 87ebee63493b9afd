"""Rows read in tiles, and the distance between items that do not have the same modalities."""

import numpy as np
import pytest
import torch

from modest import Views
from modest.neighbours import Rows
from modest.neighbours.rows import squared_distances

from .conftest import presence, slow_distances, table, unit_halves

DIMS = (7, 5, 4)


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-11), ("float32", 2e-5)])
def test_squared_distances_with_absent_modalities(unit, precision, tolerance):
    views = table(40, DIMS, 0, missing=0.6)
    rows = Rows(views, unit=unit, precision=precision)
    found = squared_distances(rows.take(np.arange(40)), rows.take(np.arange(40))).numpy()
    expected = slow_distances(views, unit)
    np.testing.assert_allclose(found, expected, atol=tolerance * max(1.0, expected.max()), rtol=0)
    there = presence(views)
    nothing_shared = (there[:, None] & there[None]).sum(axis=2) == 0
    assert nothing_shared.any()
    assert (found[nothing_shared] == 4.0).all()


def test_rows_are_halves_of_norm_one_and_absent_ones_zero():
    views = table(30, DIMS, 1)
    rows = Rows(views, precision="float64")
    block, there = rows.take(np.arange(30)), presence(views)
    expected = np.concatenate([part * there[:, m, None] for m, part in enumerate(unit_halves(views))], axis=1)
    np.testing.assert_allclose(block.x.numpy(), expected, atol=1e-15, rtol=0)
    np.testing.assert_array_equal(block.p.numpy(), there)
    np.testing.assert_array_equal(block.q.numpy(), there)
    np.testing.assert_array_equal(rows.present, there)
    np.testing.assert_allclose(rows.weight.numpy(), 1 / there.sum(axis=1))


@pytest.mark.parametrize("named", [False, True])
def test_tiles_read_again_are_the_rows_kept(named, tmp_path):
    """A table that is held and one that is read from disk a few rows at a time, whatever the order of its ids."""
    views = table(500, (90, 60), 2)
    ids = None
    if named:
        ids = np.random.default_rng(3).permutation(500).astype(str)
    views = Views(views.arrays, views.present, ids)
    for name, array in views.arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    maps = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in views.names}
    held, read = Rows(views), Rows(Views(maps, views.present, ids), memory="1MB")
    assert held._kept is not None
    assert read._kept is None
    assert read.tile < 100
    starts, blocks = zip(*read.tiles())
    assert list(starts) == list(range(0, 500, read.tile))
    for part in ("x", "p", "q"):
        whole = torch.cat([getattr(block, part) for block in blocks])
        np.testing.assert_array_equal(whole.numpy(), getattr(held.take(np.arange(500)), part).numpy())
    some = np.array([400, 3, 3, 77])
    np.testing.assert_array_equal(read.take(some).x.numpy(), held.take(some).x.numpy())
    for start, block in read.tiles(120):
        rough = held.half(start, block)
        np.testing.assert_array_equal(read.half(start, block).float().numpy(), rough.float().numpy())
        assert len(rough) == len(block)


def test_frames_of_table_and_ids():
    ids = np.array(["d", "a", "c", "b"])
    rows = Rows(Views({"x": np.diag([1.0, 2.0, 3.0, 4.0])}, ids=ids))
    assert rows.ids.tolist() == ["a", "b", "c", "d"]
    assert rows.table_rows([0, 1, 2, 3]).tolist() == [1, 3, 2, 0]
    assert rows.inner_rows(np.array([1, 3, 2, 0])).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(rows.take([0]).x.numpy(), [[0.0, 1.0, 0.0, 0.0]])
    ordered = Rows(Views({"x": np.eye(3)}, ids=["a", "b", "c"]))
    assert ordered.original is None


def test_precision_and_device_are_checked():
    views = Views({"x": np.eye(3)})
    with pytest.raises(ValueError, match="precision='half' is unknown; known: auto, float32, float64"):
        Rows(views, precision="half")
    with pytest.raises(ValueError, match="device="):
        Rows(views, device="nowhere")
    assert Rows(views, precision="float64").take([0]).x.dtype == torch.float64
    assert Rows(views, precision="float32").fast is False
