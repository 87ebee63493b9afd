"""Where weights come from: hub, folders in several pieces, old files; and what is said when an extra is missing."""

import json
import sys

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from modest.encoders.trainable import build
from modest.encoders.weights import located, read_settings, read_state

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.bias": torch.ones(2)}


def same(state):
    assert set(state) == set(STATE)
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


def test_a_hub_name_is_fetched_once_into_a_folder(tmp_path, monkeypatch):
    asked = []

    def fetch(name, allow_patterns):
        asked.append((name, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert located("microsoft/resnet-18") == tmp_path
    (name, patterns), *rest = asked
    assert name == "microsoft/resnet-18"
    assert "model.safetensors" in patterns
    assert not rest
    assert located(tmp_path) == tmp_path  # what is here is not asked for
    assert len(asked) == 1


def test_a_name_that_the_hub_does_not_have_is_one_sentence(monkeypatch):
    def fail(name, allow_patterns):
        raise LocalEntryNotFoundError("no network\nand more lines")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(FileNotFoundError, match=r"weights='nobody/nothing' is no file or folder here") as error:
        located("nobody/nothing")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_not_looked_for_on_the_hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    for name in ("here/there.safetensors", "/nowhere/model", "a/b/c"):
        with pytest.raises(FileNotFoundError, match="no file or folder here"):
            located(name)


def test_a_folder_in_several_pieces(tmp_path):
    for number, (name, tensor) in enumerate(STATE.items()):
        save_file({name: tensor}, tmp_path / f"model-{number}.safetensors")
    index = {"weight_map": {name: f"model-{number}.safetensors" for number, name in enumerate(STATE)}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    same(read_state(tmp_path))


def test_an_old_folder_and_a_training_checkpoint(tmp_path):
    torch.save(STATE, tmp_path / "pytorch_model.bin")
    same(read_state(tmp_path))
    torch.save({"state_dict": STATE, "epoch": 3}, tmp_path / "checkpoint.pth")
    same(read_state(tmp_path / "checkpoint.pth"))
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)  # as the oldest published files
    same(read_state(tmp_path / "old.pth"))


def test_settings_that_cannot_be_read(tmp_path):
    assert read_settings(tmp_path) == {}
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not readable JSON"):
        read_settings(tmp_path)


@pytest.mark.parametrize("name", ["resnet18", "bert"])
def test_without_transformers_the_install_line_is_told(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"needs transformers; install it with: pip install 'modest\[media\]'"):
        build(name, generator=torch.Generator())


def test_video_and_ready_views_do_not_need_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert build("r2plus1d18", generator=torch.Generator(), width=0.125, depth=[1]).width == 8
    assert build("mlp", generator=torch.Generator(), inputs=3, width=4).width == 4
