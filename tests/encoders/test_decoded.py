"""Columns of raw values: kept while there is room, the same whatever the batch and thread, unreadable ones told."""

import threading

import numpy as np
import pytest
import torch

from modest.data.decoding import Unreadable
from modest.encoders.decoded import Decoded
from modest.encoders.reading import Reading
from modest.encoders.table import table
from modest.training import Batches

LARGE = 400_000  # bytes of a sample; two of them fit into a megabyte


def column(read, n=6, **more):
    reading = Reading(
        "image",
        read,
        lambda x, rng: torch.from_numpy(x[:2].astype(np.float32) + rng.random(2, dtype=np.float32)),
        lambda x: torch.from_numpy(x[:2].astype(np.float32)),
        (2,),
        torch.float32,
    )
    return Decoded([f"{i}" for i in range(n)], np.array([f"id{i}" for i in range(n)]), reading, **more)


def sample(value):
    return np.full(LARGE, int(value), dtype=np.uint8)


def counted(asked, meet=None):
    def read(value):
        asked.append(int(value))
        if meet is not None and value == "0":
            meet.wait(5)  # both threads are decoding row 0 now
        return sample(value)

    return read


def test_rows_are_kept_while_there_is_room_and_decoded_again_beyond():
    asked = []
    one = column(counted(asked), memory=10**6)
    for _ in range(3):
        out, read = one.block(np.arange(4), None)
        assert read.all()
        assert out[:, 0].tolist() == [0, 1, 2, 3]
    assert len(asked) == 2 + 2 * 3  # two kept ones once, two others each time


def test_a_row_that_two_threads_decode_at_once_takes_its_room_once():
    asked, meet = [], threading.Barrier(2)
    one = column(counted(asked, meet), memory=10**6, workers=2)
    threads = [threading.Thread(target=one.block, args=(np.array([0]), None)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [0, 0]
    for _ in range(3):
        one.block(np.array([0, 1]), None)
    assert asked == [0, 0, 1]  # row 1 found room, too


def test_a_row_is_augmented_alike_in_any_batch_and_anew_each_epoch():
    one, other = column(sample, seed=3), column(sample, seed=3, workers=1)
    whole, _ = one.block(np.arange(6), 0)
    again, _ = other.block(np.array([4, 1]), 0)
    assert torch.equal(again, whole[[4, 1]])
    assert not torch.equal(one.block(np.arange(6), 1)[0], whole)
    assert not torch.equal(column(sample, seed=4).block(np.arange(6), 0)[0], whole)
    assert one.block(np.arange(6), None)[0][:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_an_unreadable_row_is_asked_for_once_and_told():
    asked = []

    def read(value):
        asked.append(value)
        if value == "2":
            raise Unreadable("2 is no picture.")
        return sample(value)

    one = column(read)
    for _ in range(2):
        out, there = one.block(np.array([1, 2, 3]), None)
        assert there.tolist() == [True, False, True]
        assert out[1].tolist() == [0, 0]
    assert asked.count("2") == 1
    assert one.unreadable == {2: "2 is no picture."}


def test_what_a_reader_did_not_foresee_is_raised():
    def read(value):
        raise MemoryError("no room")

    batches = Batches((column(read),), np.ones((6, 1), bool), np.arange(6), size=3)
    with pytest.raises(MemoryError, match="no room"):
        list(batches.epoch())


def test_the_least_memory_serves_any_number_of_columns(tmp_path):
    import modest

    pool = modest.ingest({"one": ["a b", "c"], "two": ["d", "e f"]}, tmp_path / "pool")
    reading = column(sample).reading
    assert len(table(pool, {"one": reading, "two": reading}, memory="1MB")) == 2
    with pytest.raises(ValueError, match="memory='1KB' is below one megabyte"):
        table(pool, {"one": reading, "two": reading}, memory="1KB")
