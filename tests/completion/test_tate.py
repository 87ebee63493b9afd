"""TATE's recipe: what each stage minimises, what is hidden, who is imitated, and what its options refuse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from modest import MultimodalClassifier
from modest.completion import METHODS, Imagining, hidden
from modest.completion.tags import losses, tags
from modest.completion.tate import Options, left
from modest.learning import Towers
from modest.training import Batch, World
from tests.completion.test_completions import NAMES, WIDTH, batch, build, table


@pytest.fixture
def seeded():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        yield


def loss_of(stage, one):
    ((group, loss),) = stage.turns(one)
    assert group == "all"
    return loss


def weighed(parts, **weights):
    return parts["ce"] + sum(weights[name] * part for name, part in parts.items() if name != "ce")


def told(recipe, one):
    """What the network says of the rows, put together by hand."""
    blocks = recipe.towers.blocks(one)
    return recipe.network([block[:, None] for block in blocks], tags(one.present))


WEIGHTS = {"kl": 0.5, "decoder": 0.2, "tag": 0.3, "l2": 0.7}


class TestStages:
    def test_the_first_hides_nothing_and_imitates_nobody(self):
        recipe, one = build("tate", {**WEIGHTS, "dropout": 0.0}), batch()
        parts = losses(told(recipe, one), tags(one.present), one.labels, recipe.network.head, None)
        first, _ = recipe.stages()
        torch.testing.assert_close(loss_of(first, one), weighed(parts, **WEIGHTS))
        assert first.name == "tate/first"

    def test_the_second_hides_and_imitates_what_the_first_made_of_all(self, seeded):
        recipe, one = build("tate", {**WEIGHTS, "dropout": 0.0}), batch()
        shown = told(recipe, one).encoded.detach()
        found = loss_of(recipe.stages()[1], one)
        torch.default_generator.manual_seed(0)
        less = hidden(one, left(one.present, recipe.options.hide, recipe.options.share))
        assert (less.present != one.present).any()
        parts = losses(told(recipe, less), tags(less.present), one.labels, recipe.network.head, shown)
        assert parts["kl"] > 0
        torch.testing.assert_close(found, weighed(parts, **WEIGHTS))

    def test_with_nothing_hidden_the_second_begins_where_the_first_ended(self, seeded):
        recipe, one = build("tate", {"share": 0.0, "dropout": 0.0}), batch()
        first, second = recipe.stages()
        torch.testing.assert_close(loss_of(first, one), loss_of(second, one))

    def test_whom_to_imitate_is_fixed_as_the_second_begins(self, seeded):
        recipe, one = build("tate", {"dropout": 0.3}), batch()
        _, second = recipe.stages()
        with torch.no_grad():
            recipe.network.head.bias.add_(1.0)
        loss_of(second, one).backward()
        assert torch.equal(recipe.first["network"].head.bias, recipe.network.head.bias)
        assert all(p.grad is None for p in recipe.first.parameters())
        assert all(not p.requires_grad for p in recipe.first.parameters())
        before = recipe.imitated(one)
        with torch.no_grad():
            for weight in (*recipe.towers.parameters(), *recipe.network.parameters()):
                weight.add_(0.1)
        loss_of(second, replace(one, index=1, count=2))
        loss_of(second, replace(one, epoch=1))
        assert torch.equal(recipe.imitated(one), before)  # also: no dropout
        loss_of(second, one)
        assert not torch.equal(recipe.imitated(one), before)

    def test_the_first_model_works_with_the_same_processes(self):
        recipe, one = build("tate"), batch()
        recipe.towers.world = World()
        recipe.imitated(one)
        assert recipe.first["towers"].world is recipe.towers.world

    def test_every_weight_of_the_model_is_trained(self, seeded):
        recipe, one = build("tate"), batch()
        loss_of(recipe.stages()[1], one).backward()
        still = [name for name, p in recipe.net.named_parameters() if p.requires_grad and p.grad is None]
        assert still == []

    def test_no_dropout_when_asked(self):
        recipe, one = build("tate", {"dropout": 0.5}), batch()
        recipe.net.eval()
        assert torch.equal(recipe.logits(one).fused, recipe.logits(one).fused)
        recipe.net.train()
        with torch.random.fork_rng():
            assert not torch.equal(recipe.logits(one).fused, recipe.logits(one).fused)


def test_without_tags_patterns_are_told_apart_by_the_steps_alone():
    recipe, one = build("tate", {"tags": False, "dropout": 0.0}), batch()
    found, tag = recipe.read(one)
    assert not tag.any()
    assert not found.tagged[:, :, -4:].any()
    with_tags, _ = build("tate", {"dropout": 0.0}).read(one)
    assert torch.equal(with_tags.tagged[:, :, -4:], tags(one.present)[:, None].expand(-1, 3, -1).double())
    parts = losses(found, tag, one.labels, recipe.network.head, None)
    torch.testing.assert_close(
        loss_of(recipe.stages()[0], one), weighed(parts, decoder=0.1, tag=0.0, l2=recipe.options.l2)
    )


def test_an_absent_modality_is_the_same_step_whatever_the_row():
    recipe, one = build("tate", {"dropout": 0.0}), batch()
    steps = recipe.read(one)[0].tagged[:, 1, :-4]
    absent = ~one.present[:, 1]
    assert absent.sum() > 1
    assert len(steps[absent].unique(dim=0)) == 1
    assert len(steps[~absent].unique(dim=0)) == int((~absent).sum())


class TestLeft:
    PRESENT = torch.tensor([[True] * 3, [True, False, True], [False, True, False]]).repeat(4000, 1)

    def test_one_loses_at_most_one_and_each_alike(self, seeded):
        kept = left(self.PRESENT, "one", 0.6)
        lost = self.PRESENT & ~kept
        assert not (kept & ~self.PRESENT).any()
        assert lost.sum(dim=1).max() == 1
        for pattern, shares in enumerate(([0.2, 0.2, 0.2], [0.3, 0.0, 0.3], [0.0, 0.0, 0.0])):
            np.testing.assert_allclose(lost[pattern::3].float().mean(dim=0), shares, atol=4 * 0.5 / np.sqrt(4000))

    def test_any_is_the_draw_of_every_completion(self, seeded):
        kept = left(self.PRESENT, "any", 0.5)
        assert (self.PRESENT & ~kept)[::3].sum(dim=1).max() == 2
        assert kept.any(dim=1).all()

    @pytest.mark.parametrize("hide", ["one", "any"])
    def test_without_a_share_nothing_goes(self, hide, seeded):
        assert torch.equal(left(self.PRESENT, hide, 0.0), self.PRESENT)


@pytest.mark.parametrize(
    "wrong",
    [{"kl": -1.0}, {"decoder": float("nan")}, {"tag": float("inf")}, {"l2": -0.1}, {"hide": "all"}, {"share": 1.5},
     {"share": float("nan")}, {"dropout": 1.0}, {"dropout": -0.1}, {"heads": 0}, {"heads": 2.0}, {"heads": True}],
)  # fmt: skip
def test_options_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=rf"options\['{next(iter(wrong))}'\]"):
        Options(**wrong)


def test_one_modality_is_refused():
    towers = Towers.over((4,), WIDTH, torch.Generator())
    with pytest.raises(ValueError, match="'image' is the only one"):
        METHODS["tate"].build(towers, NAMES[:1], 3, torch.Generator())


def test_any_encoder_will_do(seeded):
    """Pictures through an encoder with batch statistics, whose running ones the first model keeps to."""
    encoders = [
        nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, WIDTH)).double(),
        nn.Linear(4, WIDTH).double(),
    ]
    recipe = METHODS["tate"].build(Towers(encoders, WIDTH), ("picture", "text"), 3, torch.Generator().manual_seed(0))
    x = torch.randn(8, 2, 3, 3).double(), torch.randn(8, 4).double()
    one = Batch(x, torch.tensor([[True, True], [True, False]] * 4), torch.arange(8) % 3)
    for stage in recipe.stages():
        loss_of(stage, one).backward()
    assert encoders[0][2].weight.grad.abs().max() > 0
    assert int(recipe.first["towers"].encoders[0][0].num_batches_tracked) == 1  # of the first stage alone
    assert int(encoders[0][0].num_batches_tracked) == 2
    assert recipe.logits(one).fused.shape == (8, 3)


def test_it_offers_no_reconstruction():
    assert not isinstance(build("tate"), Imagining)


def test_inputs_are_standardised_for_the_first_model_too():
    X, y = table()
    clf = MultimodalClassifier(method="tate", epochs=1, hidden=(), width=WIDTH).fit(X, y, validation=False)
    for own, first in zip(clf.recipe_.towers.encoders, clf.recipe_.first["towers"].encoders):
        assert own.shift.any()
        assert torch.equal(own.shift, first.shift)
        assert torch.equal(own.scale, first.scale)
