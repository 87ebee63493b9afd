"""Real files decode to the counts another decoder found; members of the zips of the real sets open."""

import csv
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from modest.data import media
from modest.data.decoding import Unreadable, read_audio, read_image, read_video

pytest.importorskip("av", reason="the extra `media` is not installed")
pytestmark = pytest.mark.real


@pytest.fixture
def rows(shared):
    folder = shared / "data" / "raw_media"
    with (folder / "index.csv").open(newline="") as handle:
        return [{**row, "path": str(folder / row["file"])} for row in csv.DictReader(handle)]


def test_sound_has_the_expected_number_of_samples(rows):
    for row in rows:
        if row["audio_samples_decoded"] and "robin" not in row["file"]:
            found = read_audio(row["path"], int(row["sample_rate"]))
            assert len(found) == int(row["audio_samples_decoded"]), row["file"]
            assert 0.03 < np.abs(found).max() <= 1.2
    cut = next(row for row in rows if row["channels"] == "6")
    assert len(read_audio(f"{cut['path']}#t=1,2.5")) == 24000  # 5.1 at 48 kHz


def test_photos_and_videos_have_the_expected_size(rows):
    for row in rows:
        size = (int(row["height"] or 0), int(row["width"] or 0), 3)
        if row["kind"] == "image":
            assert read_image(row["path"]).shape == size
        elif row["kind"] == "video" and "corrupted" not in row["file"]:
            count = int(row["video_frames_decoded"])
            assert count in (132, 325)
            found = read_video(row["path"], frames=3, short_side=90)
            assert found.shape == (3, 90, round(90 * size[1] / size[0]), 3)


def test_every_real_frame_comes_once(rows):
    import av

    row = next(row for row in rows if row["file"].endswith("nasa_13013.mp4"))  # two video streams
    every = read_video(f"{row['path']}#t=2,3", frames=25)
    with av.open(row["path"]) as container:
        decoded = [f.to_ndarray(format="rgb24") for f in container.decode(container.streams.video[0]) if f.time < 3]
    assert (every == np.stack(decoded[50:75])).all()


@pytest.mark.parametrize("frames", [1, 10])
def test_the_corrupted_clip_is_unreadable(rows, frames):
    row = next(row for row in rows if "corrupted" in row["file"])
    with pytest.raises(Unreadable, match=r"corrupted.mp4 is damaged"):
        read_video(row["path"], frames)
    with pytest.raises(Unreadable, match="no sound"):
        read_audio(row["path"])


def test_mpeg_1_clips(shared):
    path = str(sorted((shared / "data" / "grid_s1" / "raw_mpg").glob("*.mpg"))[0])
    assert read_video(path, frames=4).shape == (4, 288, 360, 3)
    assert len(read_audio(path)) == pytest.approx(3 * 16000, abs=1000)
    assert len(read_video(f"{path}#t=1,1.5", frames=2)) == 2


def test_members_of_the_real_zips(shared):
    def some(name, step):
        path = shared / "data" / name
        with zipfile.ZipFile(path) as archive:
            return [f"{path}!{member}" for member in archive.namelist()[::step] if media.kind(member)]

    modes = set()
    for k, value in enumerate(some("emoji_captions/images.zip", 1)):
        picture = Image.open(io.BytesIO(media.read_bytes(value)))
        if k % 20 and picture.mode in ("RGBA", "P"):
            continue
        modes.add(picture.mode)
        alpha = np.asarray(picture.convert("RGBA"))[..., 3:] / 255.0
        wanted = np.asarray(picture.convert("RGBA"))[..., :3] * alpha + 255 * (1 - alpha)
        assert np.abs(read_image(value) - wanted).max() <= 1, value
    assert modes == {"P", "LA", "RGBA", "RGB"}
    assert {read_image(value).shape for value in some("fashion_products/images.zip", 500)} == {(80, 60, 3)}
    for value in some("grid_s1/clips_mp4.zip", 400):
        assert read_video(f"{value}#t=1,1.4", frames=8, short_side=32).shape == (8, 32, 32, 3)
        assert len(read_audio(value)) == 48128
        assert len(read_audio(f"{value}#t=1,1.4")) == 6400
    for value in some("av_digits/recordings_wav.zip", 300):
        assert 0.1 < len(read_audio(value)) / 16000 < 2.4
