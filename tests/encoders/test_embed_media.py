"""``embed`` on real files: photographs, clips with sound, one of them damaged, recordings of several formats."""

import json

import numpy as np
import pandas as pd
import pytest

import modest
from modest.encoders import embed

pytestmark = pytest.mark.real


def test_photographs_captions_clips_and_their_sound(shared, tmp_path):
    media = shared / "data" / "raw_media"
    lines = [json.loads(line) for line in (media / "photos_captions.jsonl").read_text().splitlines()][:6]
    clips = ["nasa_13013.mp4#t=0,1", "corrupted.mp4", "bigbuckbunny.mp4#t=0,1"]
    table = pd.DataFrame(
        {
            "image": [str(media / line["image"]) for line in lines],
            "text": [line["captions"][0] for line in lines[:5]] + ["word " * 2_000_000],
            "video": [str(media / "video" / name) for name in clips] + [None] * 3,
        }
    )
    pool = modest.ingest(table, tmp_path / "pool")
    asked = {"image": "pixels", "text": "hashed-text", "video": "pixels?frames=2", "audio": "logmel"}
    reports = embed(pool, asked, shard=4)
    assert {name: report.skipped for name, report in reports.items()} == {"image": 0, "text": 1, "video": 1, "audio": 1}
    views = modest.open(pool.path).views()
    there = np.array([True, False, True, False, False, False])
    expected = [np.ones(6, bool), np.arange(6) < 5, there, there]
    assert views.present.tolist() == np.stack(expected, axis=1).tolist()
    for name, array in views.arrays.items():
        found = np.asarray(array)[views.present[:, views.names.index(name)]]
        assert np.isfinite(found).all()
        assert np.unique(found, axis=0).shape == found.shape
    listed = pd.read_csv(reports["text"].skipped_file)
    assert len(listed["value"][0]) == 200  # not ten million characters
    assert "corrupted.mp4" in pd.read_csv(reports["video"].skipped_file)["reason"][0]
    assert "no sound" in pd.read_csv(reports["audio"].skipped_file)["reason"][0]
    assert len(modest.select(views, budget=2, method="mmcsal", seed=0)) == 2
