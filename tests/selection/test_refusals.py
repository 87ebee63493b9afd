"""Bad input is refused by every strategy in one sentence that names the argument, the row and the mend."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.selection import METHODS

from .test_examination import choose

every = pytest.mark.parametrize("method", METHODS)
reading = pytest.mark.parametrize("method", [name for name in METHODS if name != "random"])


@every
@pytest.mark.parametrize(
    ("budget", "told"),
    [(0, "budget=0 is not positive"), (-1, "budget=-1 is not positive"), (1.5, "budget=1.5 is not a share"),
     (0.0, "budget=0.0 is not a share"), (np.nan, "budget=nan"), (117, "117 items but only 116 rows are free")],
)  # fmt: skip
def test_budget(method, pool, budget, told):
    taken = np.arange(120) < 4
    with pytest.raises(ValueError, match=told):
        choose(method, pool, budget, taken=taken)


@every
@pytest.mark.parametrize("budget", [True, "5", None, [3]])
def test_type_of_the_budget(method, pool, budget):
    with pytest.raises(TypeError, match="budget"):
        choose(method, pool, budget)


@every
def test_mask_of_taken_rows(method, pool):
    for wrong in ([3, 4], np.zeros(120, dtype=np.int64)):
        with pytest.raises(TypeError, match="taken must be a boolean mask"):
            choose(method, pool, taken=wrong)
    with pytest.raises(ValueError, match="taken has shape"):
        choose(method, pool, taken=np.zeros(119, dtype=bool))


def test_unknown_method_lists_the_known(pool):
    with pytest.raises(ValueError, match="method='enthalpy' is unknown") as error:
        modest.select(pool, 3, "enthalpy")
    assert all(name in str(error.value) for name in METHODS)


@every
def test_unknown_knob(method, pool):
    with pytest.raises(TypeError, match=f"method '{method}' has no such knob: 'warmth'"):
        choose(method, pool, warmth=3)


@reading
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_value(method, pool, value):
    arrays = {name: array.copy() for name, array in pool.arrays.items()}
    arrays["text"][41, 2] = value
    with pytest.raises(ValueError, match=rf"views\['text'\].* row 41 \(id {pool.ids[41]}\)"):
        choose(method, Views(arrays, ids=pool.ids))
    mask = np.ones((120, 2), dtype=bool)
    mask[41, 1] = False
    assert len(choose(method, Views(arrays, mask, pool.ids))) == 9


@reading
def test_row_of_norm_zero(method, pool):
    arrays = {name: array.copy() for name, array in pool.arrays.items()}
    arrays["image"][17] = 0.0
    with pytest.raises(ValueError, match=rf"views\['image'\].*zero.*row 17 \(id {pool.ids[17]}\)"):
        choose(method, Views(arrays, ids=pool.ids))


@every
@pytest.mark.parametrize("by_mask", [True, False])
def test_item_without_any_modality(method, pool, by_mask):
    arrays = {name: array.copy() for name, array in pool.arrays.items()}
    mask = np.ones((120, 2), dtype=bool)
    if by_mask:
        mask[63] = False
    else:
        for array in arrays.values():
            array[63] = np.nan
    with pytest.raises(ValueError, match=rf"row 63 \(id {pool.ids[63]}\) has no modality at all"):
        choose(method, Views(arrays, mask, pool.ids))


@every
def test_an_id_that_stands_twice(method, pool):
    ids = pool.ids.copy()
    ids[90] = ids[4]
    with pytest.raises(ValueError, match=f"ids holds '{ids[4]}' twice"):
        choose(method, Views(pool.arrays, ids=ids))


@every
def test_memory_and_device(method, pool):
    for wrong in ("much", "10kB", 3):
        with pytest.raises(ValueError, match="memory="):
            choose(method, pool, memory=wrong)
    if method != "random":  # which computes nothing on a device
        with pytest.raises(ValueError, match="device='abacus'"):
            choose(method, pool, device="abacus")


def test_things_that_are_no_views():
    with pytest.raises(TypeError, match="views is list"):
        modest.select([[1.0, 2.0]], 1)
    with pytest.raises(ValueError, match="two dimensions"):
        modest.select(np.ones(5), 1)
    with pytest.raises(ValueError, match="differ in their number of rows"):
        modest.select({"a": np.ones((3, 2)), "b": np.ones((4, 2))}, 1)
    with pytest.raises(ValueError, match="no modality"):
        modest.select({}, 1)
