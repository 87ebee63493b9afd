"""TATE's network and losses: the reference vectors, and what a tag, a shared projection and a divergence are."""

import itertools

import numpy as np
import pytest
import torch

from modest.completion.tags import Network, common, divergence, losses, tags

ATTENTION, FEED = "multihead_attention", "positionwise_feedforward"


@pytest.fixture(scope="module")
def vectors(shared):
    with np.load(shared / "reference" / "learning" / "tate.npz", allow_pickle=False) as archive:
        return {key: torch.from_numpy(np.array(archive[key])) for key in archive.files}


def released(vectors):
    """The network with the vectors' weights, and its three sequences."""
    net = Network(3, 12, 3, torch.Generator(), torch.float64, heads=int(vectors["heads"]))
    state = {}
    for name, here in {"vv": "own.0", "aa": "own.1", "tt": "own.2", "nn": "encoder", "de": "decoder"}.items():
        w = {key.removeprefix(f"w.{name}/"): value for key, value in vectors.items() if key.startswith(f"w.{name}/")}
        state |= {f"{here}.{part}": w.pop(f"{ATTENTION}/dense{k}/kernel").T for part, k in
                  (("query", ""), ("key", "_1"), ("value", "_2"))}  # fmt: skip
        for part, there in (("norm", ATTENTION), ("last", FEED)):
            state[f"{here}.{part}.weight"] = w.pop(f"{there}/ln/gamma")
            state[f"{here}.{part}.bias"] = w.pop(f"{there}/ln/beta")
        for part, k in (("inner", ""), ("outer", "_1")):
            state[f"{here}.{part}.weight"] = w.pop(f"{FEED}/dense{k}/kernel").T
            state[f"{here}.{part}.bias"] = w.pop(f"{FEED}/dense{k}/bias")
        assert not w
    alone = {"pairs.0": "wei_va", "pairs.1": "wei_vt", "pairs.2": "wei_ta", "pool.up": "Wu_wq", "pool.gate": "Wm_wq",
             "pool.rate": "Wr_wq", "head.weight": "W_l", "head.bias": "b_l"}  # fmt: skip
    state |= {here: vectors[f"w.all_weights/{there}"].T for here, there in alone.items()}
    state["head.bias"] = state["head.bias"][:, 0]
    state["dense"] = vectors["w.dense_3/kernel"].T
    net.load_state_dict(state)
    kernels = (f"w.dense{k}/kernel" for k in ("", "_1", "_2"))
    return net, [vectors[name] @ vectors[k] for name, k in zip(("visual", "audio", "text"), kernels)]


def near(found, wanted, tolerance=1e-9):
    np.testing.assert_allclose(found.detach(), wanted, atol=tolerance, rtol=tolerance)


def test_the_tag_table(vectors):
    near(tags(vectors["tag_table_present_vat"].bool()), vectors["tag_table"], 0)
    near(tags(vectors["present_vat"].bool()), vectors["tag"], 0)
    table = dict(zip(vectors["tag_table_flag"].tolist(), vectors["tag_table"].tolist()))
    assert [table[flag] for flag in vectors["flag"].tolist()] == vectors["tag"].tolist()


def test_the_forward_pass_is_the_vectors(vectors):
    net, sequences = released(vectors)
    own = [block(x) for block, x in zip(net.own, sequences)]
    for found, name in zip(own, "vat"):
        near(found, vectors[f"encoded_{name}"])
    for found, name in zip(common(own, list(net.pairs)), "vat"):
        near(found, vectors[f"common_{name}"])
    found = net(sequences, tags(vectors["present_vat"].bool()))
    near(found.tagged, vectors["tagged"])
    near(found.encoded, vectors["encoder_output"])
    near(found.decoded, vectors["decoder_output"])
    near(found.attention, vectors["attention"])
    near(found.pooled, vectors["pooled"])
    near(found.logits, vectors["logits"])


NAMES = {"ce": "ce_sum", "l2": "l2", "kl": "kl_pretrained", "decoder": "kl_decoder", "tag": "tag"}


def said(vectors, net, sequences, tag, reduction="sum"):
    return losses(net(sequences, tag), tag, vectors["y"], net.head, vectors["pretrained"], reduction)


def total(parts, l2=1.0):
    return parts["ce"] + l2 * parts["l2"] + 0.1 * (parts["kl"] + parts["decoder"] + parts["tag"])


def test_the_losses_and_gradients_are_the_vectors(vectors):
    net, sequences = released(vectors)
    parts = said(vectors, net, sequences, vectors["tag"])
    assert set(parts) == set(NAMES)
    for part, name in NAMES.items():
        near(parts[part], vectors[f"loss_{name}"])
    near(total(parts, 0.1), vectors["loss_total_iemocap_file"])
    near(total(parts), vectors["loss_total"])
    total(parts).backward()
    for weight, name in zip(net.pairs, ("va", "vt", "ta")):
        near(weight.grad.T, vectors[f"grad.all_weights/wei_{name}"], 1e-4)


def test_the_release_gives_every_row_one_tag(vectors):
    """With its constant tag we would give what it gives; with ours we do not."""
    net, sequences = released(vectors)
    wrong, right = vectors["tag_wrong_official"], tags(vectors["present_vat"].bool())
    assert len(wrong.unique(dim=0)) == 1
    assert len(right.unique(dim=0)) == 7
    theirs, ours = net(sequences, wrong), net(sequences, right)
    for part, name in (("tagged", "tagged"), ("encoded", "encoder_output"), ("pooled", "pooled"), ("logits", "logits")):
        near(getattr(theirs, part), vectors[f"{name}_wrong_official"])
        assert (getattr(ours, part) - vectors[f"{name}_wrong_official"]).abs().max() > 1e-2
    parts, own = said(vectors, net, sequences, wrong), said(vectors, net, sequences, right)
    for part in ("ce", "kl", "decoder", "tag"):
        near(parts[part], vectors[f"loss_{NAMES[part]}_wrong_official"])
        assert abs(float(own[part].detach()) - float(vectors[f"loss_{NAMES[part]}_wrong_official"])) > 1e-3
    near(total(parts), vectors["loss_total_wrong_official"])
    assert abs(float(total(own).detach()) - float(vectors["loss_total_wrong_official"])) > 1e-3


def test_means_do_not_depend_on_how_often_rows_are_repeated(vectors):
    net, sequences = released(vectors)
    found, twice = (
        losses(
            net([torch.cat([x] * k) for x in sequences], torch.cat([vectors["tag"]] * k)),
            torch.cat([vectors["tag"]] * k), torch.cat([vectors["y"]] * k), net.head,
            torch.cat([vectors["pretrained"]] * k),
        )
        for k in (1, 2)
    )  # fmt: skip
    for part, summed in said(vectors, net, sequences, vectors["tag"]).items():
        near(twice[part], found[part].detach())
        near(found[part] * (7 if part in ("ce", "kl", "decoder") else 1), summed.detach())
    assert "kl" not in losses(net(sequences, vectors["tag"]), vectors["tag"], vectors["y"], net.head, None)


@pytest.mark.parametrize("M", [2, 3, 5])
def test_every_pattern_has_a_tag_of_its_own(M):
    present = torch.tensor(list(itertools.product([True, False], repeat=M))[:-1])
    found = tags(present)
    assert found.shape == (2**M - 1, M + 1)
    assert len(found.unique(dim=0)) == 2**M - 1
    assert found[0].tolist() == [1.0] + [0.0] * M  # all there; its complement for every other row
    for row, there in zip(found[1:].tolist(), present[1:].tolist()):
        assert row == [0.0] + [float(not one) for one in there]


def test_projections_are_shared_by_two_each():
    rng = np.random.default_rng(0)
    encoded = [rng.normal(size=(2, m + 1, 3)) for m in range(4)]
    pairs = {pair: rng.normal(size=(2, 3)) for pair in itertools.combinations(range(4), 2)}
    found = common([torch.from_numpy(x) for x in encoded], [torch.from_numpy(w) for w in pairs.values()])
    for m, x in enumerate(encoded):
        want = [x @ pairs[tuple(sorted((m, o)))].T for o in range(4) if o != m]
        near(found[m], np.concatenate(want, axis=-1), 1e-12)


def test_divergence_by_hand():
    a, b = torch.tensor([[[3.0, 1.0]], [[1.0, 1.0]]]).log(), torch.tensor([[[1.0, 1.0]], [[1.0, 1.0]]]).log()
    want = 0.75 * np.log(1.5) + 0.25 * np.log(0.5) + 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(2.0)
    near(divergence(a, b, "sum"), want, 1e-6)
    near(divergence(b, a), want / 2, 1e-6)
    far = divergence(torch.tensor([[[500.0, 0.0]]]), torch.tensor([[[0.0, 500.0]]]))  # clipped, finite
    near(far, 2 * (1 - 1e-7) * np.log(1e7), 1e-4)


@pytest.mark.parametrize(("M", "width", "columns"), [(2, 6, 9), (3, 6, 10), (3, 7, 12), (5, 6, 14)])
def test_sizes_for_any_number_of_modalities(M, width, columns):
    net = Network(M, width, 2, torch.Generator().manual_seed(0))
    found = net([torch.ones(4, 1, width) * (m + 1) for m in range(M)], torch.ones(4, M + 1))
    assert found.tagged.shape == found.encoded.shape == found.decoded.shape == (4, M, columns)
    assert found.logits.shape == (4, 2)
    assert len(net.pairs) == M * (M - 1) // 2
