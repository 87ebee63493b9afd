"""Hiding modalities: shares in the closed form, one that always stays, batches of several processes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from modest.completion.hiding import answers, draw, hidden, only
from tests.completion.test_completions import batch


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_shares_are_those_of_the_closed_form(share):
    torch.manual_seed(0)
    present = torch.tensor([[True, True, True], [True, True, False], [False, False, True]]).repeat(20000, 1)
    kept = draw(present, share)
    assert not (kept & ~present).any()
    assert kept.any(dim=1).all()
    hid = 1 - kept.sum(dim=1).reshape(-1, 3).double().mean(dim=0) / torch.tensor([3.0, 2.0, 1.0])
    np.testing.assert_allclose(hid, [2 / 3 * share, share / 2, 0.0], atol=0.01)
    first = kept[:60000:3]
    np.testing.assert_allclose(first.double().mean(dim=0), 1 - 2 / 3 * share, atol=0.015)  # no modality is favoured


def test_rows_without_anything_stay_so():
    assert not draw(torch.zeros(4, 3, dtype=torch.bool), 0.5).any()


def test_what_is_hidden_is_gone_and_nothing_else_changes():
    one = batch()
    kept = draw(one.present, 0.5)
    less = hidden(one, kept)
    assert torch.equal(less.present, one.present & kept)
    for m, (before, after) in enumerate(zip(one.x, less.x)):
        assert (after[~less.present[:, m]] == 0).all()
        assert torch.equal(after[less.present[:, m]], before[less.present[:, m]])
    assert torch.equal(less.y, one.y)


def test_a_part_of_a_batch_hides_its_own_rows():
    one = batch()
    kept = draw(one.present, 0.5)
    whole = hidden(one, kept)
    for rank in (0, 1):
        part = replace(one, x=tuple(x[rank::2] for x in one.x), part=(rank, 2))
        for found, expected in zip(hidden(part, kept).x, whole.x):
            assert torch.equal(found, expected[rank::2])


def test_a_modality_alone_is_asked_alone():
    one = batch()
    said = answers(lambda b: torch.stack([b.present.sum(dim=1), sum(x.sum(dim=1) for x in b.x)], dim=1), one)
    assert torch.equal(said.fused[:, 0], one.present.sum(dim=1).double())
    for m in range(3):
        there = one.present[:, m]
        assert torch.equal(said.modality[m, :, 0], there.double())
        torch.testing.assert_close(said.modality[m, there, 1], one.x[m][there].sum(dim=1))
    assert not only(one, 1).present[:, [0, 2]].any()
