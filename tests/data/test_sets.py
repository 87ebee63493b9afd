"""Every real set through modest.ingest equals the loader that knows it."""

import numpy as np
import pytest

from benchmarks.sets import SETS, ingest_into, load

FACTS = {  # rows, classes, widths: from the README of each set
    "grid_letter": (1000, 25, (1280, 6912)),
    "grid_digit": (1000, 10, (1280, 6912)),
    "grid_colour": (1000, 4, (1280, 6912)),
    "fashion": (5000, 20, (128, 128)),
    "av_digits": (3000, 10, (784, 1024)),
    "scene15": (4485, 15, (20, 59, 40)),
    "mosi": (2199, 2, (100, 73, 100)),
    "emoji": (1636, 8, (496, 512)),
    "wikipedia": (2866, 10, (128, 100)),
}


@pytest.mark.real
@pytest.mark.parametrize("name", SETS)
def test_ingest_equals_the_direct_load(name, shared, tmp_path):
    direct = load(name, shared)
    pool = ingest_into(name, shared, tmp_path / "pool")
    n, classes, widths = FACTS[name]
    assert (len(direct.views), len(direct.classes)) == (n, classes)
    assert tuple(shape[1] for shape in direct.views.shape.values()) == widths
    assert (pool.ids == direct.views.ids).all()
    assert (pool.labels == np.array(direct.classes)[direct.y]).all()
    assert pool.classes == direct.classes
    assert (pool.split == direct.split).all()
    views = pool.views()
    assert views.names == direct.views.names
    for key, array in direct.views.arrays.items():
        assert array.dtype == np.float32
        assert np.allclose(views.arrays[key], array, atol=1e-5)
        train = array[direct.split == "train"]
        assert np.abs(train.mean(axis=0)).max() < 1e-4
    if direct.groups is not None:
        held = set(direct.groups[direct.split == "test"])
        assert not held & set(direct.groups[direct.split == "train"])


def test_unknown_sets_are_listed():
    with pytest.raises(ValueError, match="grid_letter"):
        load("imagenet", ".")
