"""Small pictures: sizes, the frame in the middle, plots whose strokes can be worked out by hand, and odd input."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from modest.data.media import Unreadable
from modest.data.pictures import thumbnail, vector_svg, waveform_svg


def opened(content):
    return Image.open(io.BytesIO(content))


def paths(svg):
    root = ElementTree.fromstring(svg)
    return root, [one.get("d") for one in root.iter("{http://www.w3.org/2000/svg}path")]


def test_the_longer_side_is_what_was_asked_and_small_ones_stay(tmp_path):
    Image.new("RGB", (400, 100), (200, 30, 30)).save(tmp_path / "wide.png")
    small = opened(thumbnail(str(tmp_path / "wide.png"), 64))
    assert small.format == "JPEG"
    assert small.size == (64, 16)
    assert np.abs(np.asarray(small).astype(int).mean(axis=(0, 1)) - (200, 30, 30)).max() < 4
    Image.new("RGB", (20, 40)).save(tmp_path / "small.png")
    assert opened(thumbnail(str(tmp_path / "small.png"))).size == (20, 40)
    Image.new("RGB", (900, 1)).save(tmp_path / "line.png")
    assert opened(thumbnail(str(tmp_path / "line.png"), 32)).size == (32, 1)


def test_where_it_was_taken_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    Image.new("RGB", (50, 50)).save(tmp_path / "told.jpg", exif=exif)
    assert b"a secret place" in (tmp_path / "told.jpg").read_bytes()
    assert b"a secret place" not in thumbnail(str(tmp_path / "told.jpg"))


def test_a_folder_of_frames_gives_its_middle_one(tmp_path):
    for k in range(5):
        Image.new("L", (30, 30), 50 * k).save(tmp_path / f"{k}.png")
    assert round(np.asarray(opened(thumbnail(f"{tmp_path}/"))).mean() / 50) == 2


def test_a_video_gives_its_middle_frame(tmp_path):
    av = pytest.importorskip("av", reason="the extra `media` is not installed")
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=64, height=32, pix_fmt="yuv420p")
        for k in range(9):
            frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), 25 * k, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    small = opened(thumbnail(str(tmp_path / "clip.mp4"), 32))
    assert small.size == (32, 16)
    assert round(np.asarray(small).mean() / 25) == 4


def test_what_is_no_picture_is_said_in_one_sentence(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    for value, told in (
        (str(tmp_path / "broken.jpg"), "broken.jpg"),
        (str(tmp_path / "gone.png"), "is not there"),
        ("a caption", "neither an image nor a video"),
    ):
        with pytest.raises(Unreadable, match=told) as error:
            thumbnail(value)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="pixels=0"):
        thumbnail("a.png", 0)


def test_bars_stand_on_zero():
    root, (rule, bars) = paths(vector_svg([1.0, -1.0, 0.5], width=30, height=28))
    assert root.get("role") == "img"
    assert root[0].text == "3 values from -1 to 1"
    assert rule == "M0 14.0H30"
    # 20 pixels for the range of 2: the first bar from 4 to 14, the second from 14 to 24, the third from 9 to 14
    assert re.findall(r"M\S+ (\S+?)h\S+?v(\S+?)h", bars) == [("4.0", "10.0"), ("14.0", "10.0"), ("9.0", "5.0")]


def test_a_long_vector_keeps_its_peak():
    long = np.zeros(100_000)
    long[54_321] = 2.0
    _, (rule, line) = paths(vector_svg(long, width=100, height=58))
    strokes = re.findall(r"M(\S+) (\S+?)V(\d+\.\d)", line)
    assert rule == "M0 54.0H100"
    assert len(strokes) == 100
    assert [x for x, high, _ in strokes if float(high) == 4.0] == ["54.5"]


def test_a_line_breaks_where_a_value_is_missing():
    values = np.linspace(-1, 1, 100)
    values[[10, 11, 50]] = np.nan, np.inf, np.nan
    root, (_, line) = paths(vector_svg(values))
    assert line.count("M") == 3
    assert line.count("L") == 94
    assert root[0].text.endswith("3 of 100 missing")


@pytest.mark.parametrize(
    "values",
    [[0.0] * 5, [0.0] * 200, [1e308, -1e308], [5e-324, 0.0], [np.nan, np.inf], [3.0], np.full(500, 7)],
    ids=["zeros", "many zeros", "huge", "tiny", "no number", "one", "constant"],
)
def test_odd_vectors_are_drawn_inside(values):
    _, drawn = paths(vector_svg(values, width=200, height=50))
    assert "nan" not in "".join(drawn)
    assert "inf" not in "".join(drawn)
    for y in re.findall(r"[ML]\S+ ([-\d.]+?)(?=[a-zA-Z]|$)", drawn[1]):
        assert 4.0 <= float(y) <= 46.0


def test_a_title_cannot_break_out():
    svg = vector_svg([1, 2], title="</title>\0<script>alert(1)</script>")
    assert "<script" not in svg
    assert ElementTree.fromstring(svg)[0].text == "</title><script>alert(1)</script>"


@pytest.mark.parametrize("values", [[], np.ones((2, 2)), 3.0])
def test_only_vectors_are_plotted(values):
    with pytest.raises(ValueError, match="values has shape"):
        vector_svg(values)
    with pytest.raises(ValueError, match="at least 16"):
        vector_svg([1.0], width=3)


def test_a_waveform_is_loud_where_the_sound_is(tmp_path):
    sf = pytest.importorskip("soundfile", reason="the extra `media` is not installed")
    sound = np.zeros(32000, dtype=np.float32)
    sound[16000:] = 0.3 * np.sin(np.arange(16000) * 0.3)
    sf.write(tmp_path / "a.wav", sound, 16000)
    root, (rule, line) = paths(waveform_svg(str(tmp_path / "a.wav"), width=40, height=48))
    tall = [float(low) - float(high) for high, low in re.findall(r" (\S+?)V(\d+\.\d)", line)]
    assert root[0].text == "2.0 seconds of sound"
    assert rule == "M0 24.0H40"
    assert max(tall[:19]) <= 1.0 + 1e-9
    assert min(tall[21:]) > 36.0
    sf.write(tmp_path / "silent.wav", np.zeros(8000, dtype=np.float32), 8000)
    assert "nan" not in waveform_svg(str(tmp_path / "silent.wav"))
    with pytest.raises(Unreadable, match="is not there"):
        waveform_svg(str(tmp_path / "gone.wav"))
