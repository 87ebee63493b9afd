"""Keys follow ids, not rows."""

import hashlib

import numpy as np
import pytest

from modest.data.keys import keys, order, uniform


def test_a_key_depends_on_id_and_seed_only():
    ids = np.array([f"item-{i}" for i in range(1000)])
    shuffle = np.random.default_rng(0).permutation(1000)
    assert (keys(ids, 3)[shuffle] == keys(ids[shuffle], 3)).all()
    assert (keys(ids, 3) == keys(ids.tolist(), 3)).all()
    assert (keys(ids, 3) == keys(ids.astype(object), 3)).all()
    assert not (keys(ids, 3) == keys(ids, 4)).any()
    assert len(np.unique(keys(ids, 3))) == 1000
    assert keys(ids, 3).dtype == np.uint64


def siphash(data: bytes, secret: bytes) -> int:
    """SipHash-2-4 (Aumasson and Bernstein 2012), written out slowly."""
    k0, k1 = (int.from_bytes(secret[i : i + 8], "little") for i in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    full = (1 << 64) - 1

    def turn(x, bits):
        return ((x << bits) | (x >> (64 - bits))) & full

    def mix():
        v[0] = (v[0] + v[1]) & full
        v[1] = turn(v[1], 13) ^ v[0]
        v[0] = turn(v[0], 32)
        v[2] = (v[2] + v[3]) & full
        v[3] = turn(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & full
        v[3] = turn(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & full
        v[1] = turn(v[1], 17) ^ v[2]
        v[2] = turn(v[2], 32)

    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        mix(), mix()
        v[0] ^= word
    v[2] ^= 0xFF
    mix(), mix(), mix(), mix()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def finish(x: int) -> int:
    """The finaliser of SplitMix64, which pandas puts behind every hash."""
    full = (1 << 64) - 1
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & full
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & full
    return x ^ (x >> 31)


def test_the_oracle_is_right_on_the_published_vector():
    assert siphash(bytes(range(15)), bytes(range(16))) == 0xA129CA6149BE45E5


@pytest.mark.parametrize("seed", [0, 1, 12345, -1, 2**70])
def test_keys_are_siphash_on_every_machine(seed):
    ids = ["a", "b", "00017", "eight-by", "élan vital 汉字", ""]
    secret = hashlib.blake2b(str(seed).encode(), digest_size=8).hexdigest().encode()
    assert keys(ids, seed).tolist() == [finish(siphash(name.encode(), secret)) for name in ids]
    assert keys([1, 2], seed).tolist() == keys(["1", "2"], seed).tolist()


def test_order_is_a_permutation_that_follows_the_ids():
    ids = np.array([f"item-{i}" for i in range(500)])
    shuffle = np.random.default_rng(1).permutation(500)
    assert sorted(order(ids, 7)) == list(range(500))
    assert (ids[order(ids, 7)] == ids[shuffle][order(ids[shuffle], 7)]).all()


def test_uniform_numbers_fill_the_unit_interval_evenly():
    draws = uniform(np.arange(20000).astype(str), 5)
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 45  # chi-square, 19 degrees of freedom, far beyond the 99.9 % point
    for other in (6, 7, 1000):
        assert abs(np.corrcoef(draws, uniform(np.arange(20000).astype(str), other))[0, 1]) < 0.04
