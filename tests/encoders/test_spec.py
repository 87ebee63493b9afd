"""Names of trainable encoders, and the Backbones they stand for."""

import pytest
import torch

from modest.encoders.spec import backbone_of, parts, ready_names, spec


def generator():
    return torch.Generator().manual_seed(0)


def test_a_line_of_text():
    assert spec("resnet18?width=0.25&size=64") == ({"name": "resnet18", "width": 0.25, "size": 64}, None)
    assert spec("mlp?view=pixels&hidden=[256]") == ({"name": "mlp", "hidden": [256]}, "pixels")
    with pytest.raises(ValueError, match="only an mlp reads"):
        spec("bert?view=pixels")


def test_parts():
    assert parts("bert") == ("bert", {})
    assert parts({"name": "mlp", "hidden": [4]}) == ("mlp", {"hidden": [4]})
    for odd in ({"hidden": [4]}, 3, None):
        with pytest.raises(ValueError, match="encoders holds"):
            parts(odd)


def test_only_an_mlp_and_its_backbone_read_ready_views():
    own = backbone_of("mlp", 5, generator())
    raw = backbone_of({"name": "resnet18", "width": 0.05, "size": 16}, None, generator())
    assert ready_names({"a": "mlp", "b": "resnet18", "c": own, "d": raw, "e": {"name": "mlp"}}) == ["a", "c", "e"]
    assert ready_names(["x", "y"]) == ["x", "y"]


def test_knobs_given_win_over_the_usual_ones_which_are_an_mlps_alone():
    usual = backbone_of("mlp", 5, generator(), hidden=(7,))
    asked = backbone_of({"name": "mlp", "hidden": (3,)}, 5, generator(), hidden=(7,))
    assert (usual.config["hidden"], asked.config["hidden"], usual.config["inputs"]) == ([7], [3], 5)
    raw = {"name": "resnet18", "width": 0.05, "size": 16}
    assert "hidden" not in backbone_of(raw, None, generator(), hidden=(7,)).config
    with pytest.raises(ValueError, match="mlp needs a ready view"):
        backbone_of("mlp", None, generator())


def test_one_handed_in_is_copied():
    own = backbone_of("mlp", 5, generator())
    copied = backbone_of(own, None, generator())
    before = {name: tensor.clone() for name, tensor in own.net.state_dict().items()}
    assert copied.config == own.config
    for name, tensor in copied.net.state_dict().items():
        torch.testing.assert_close(tensor, before[name])
        tensor.add_(1.0)
    assert all(torch.equal(own.net.state_dict()[name], before[name]) for name in before)
