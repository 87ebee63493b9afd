"""Raw media become arrays: every way of storing them, cuts, zips, and what is wrong with a file in one sentence."""

import io
import struct
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from modest.data import media
from modest.data.decoding import READERS, Unreadable, read_audio, read_image, read_text, read_video

av = pytest.importorskip("av", reason="the extra `media` is not installed")
sf = pytest.importorskip("soundfile", reason="the extra `media` is not installed")

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def picture(path, array, mode=None, **options):
    Image.fromarray(array, mode).save(path, **options) if mode else Image.fromarray(array).save(path, **options)
    return str(path)


def tone(seconds=1.0, rate=16000, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_mp4(path, frames=20, sound=None, rate=16000, fps=10, shape=(32, 48), side_by_side=False):
    """A clip whose frame k is grey of brightness 10 k; ``side_by_side`` makes its left half black."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=fps, width=shape[1], height=shape[0], pix_fmt="yuv420p")
        audio = None if sound is None else container.add_stream("aac", rate=rate, layout="mono")
        for k in range(frames):
            pixels = np.full((*shape, 3), 10 * k, dtype=np.uint8)
            pixels[:, : shape[1] // 2 if side_by_side else 0] = 0
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        if audio is not None:
            frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.rate = rate
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return str(path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_mp4(tmp_path_factory.mktemp("clip") / "clip.mp4", sound=tone(2.0))


def brightness(frames):
    return np.round(frames.mean(axis=(1, 2, 3)) / 10).astype(int).tolist()


# pictures


def test_png_and_bmp_come_back_to_the_bit(tmp_path):
    for ending in ("png", "bmp", "tiff"):
        found = read_image(picture(tmp_path / f"a.{ending}", PIXELS))
        assert found.dtype == np.uint8
        assert (found == PIXELS).all()


def test_grey_palette_cmyk_and_sixteen_bits(tmp_path):
    grey = PIXELS[..., 0]
    assert (read_image(picture(tmp_path / "l.png", grey)) == grey[..., None]).all()
    deep = (grey.astype(np.uint16) * 257).astype(np.uint16)
    assert (read_image(picture(tmp_path / "deep.png", deep)) == grey[..., None]).all()
    Image.fromarray(PIXELS).quantize(64).save(tmp_path / "p.png")
    assert (read_image(str(tmp_path / "p.png")) == np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))).all()
    flat = np.full((16, 16, 3), (200, 40, 90), dtype=np.uint8)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "c.jpg", quality=100)
    assert np.abs(read_image(str(tmp_path / "c.jpg")).astype(int) - flat).max() <= 3
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(Unreadable, match="32 bits"):
        read_image(str(tmp_path / "f.tiff"))


def test_transparency_lies_over_white(tmp_path):
    rgba = np.dstack([PIXELS, np.zeros((5, 7), dtype=np.uint8)])
    rgba[0, 0, 3], rgba[0, 1] = 255, (0, 0, 0, 128)
    found = read_image(picture(tmp_path / "a.png", rgba))
    assert (found[1:] == 255).all()
    assert (found[0, 0] == PIXELS[0, 0]).all()
    assert np.abs(found[0, 1].astype(int) - 127).max() <= 1
    la = np.dstack([PIXELS[..., 0], np.zeros((5, 7), dtype=np.uint8)])
    assert (read_image(picture(tmp_path / "la.png", la, "LA")) == 255).all()
    flat = Image.new("P", (3, 2), 0)
    flat.putpalette([10, 20, 30] + [0] * 765)
    flat.save(tmp_path / "p.png", transparency=0)
    assert (read_image(str(tmp_path / "p.png")) == 255).all()


def test_the_turn_of_the_camera_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to look at it
    found = read_image(picture(tmp_path / "a.png", PIXELS, exif=exif))
    assert (found == np.rot90(PIXELS, -1)).all()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    path = picture(tmp_path / "a.png", PIXELS)
    for limit in (34, 10):  # one pixel too many for us, far too many for Pillow
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(Unreadable, match="unfolds to"):
            read_image(path)


# sound


@pytest.mark.parametrize(
    ("ending", "subtype", "error"),
    [
        ("wav", "PCM_16", 2e-5), ("wav", "PCM_24", 1e-6), ("wav", "PCM_U8", 5e-3), ("wav", "FLOAT", 0),
        ("wav", "ULAW", 0.02), ("flac", "PCM_16", 2e-5), ("flac", "PCM_24", 1e-6), ("ogg", "VORBIS", 0.02),
    ],
)  # fmt: skip
def test_sound_files_of_every_depth(tmp_path, ending, subtype, error):
    path = tmp_path / f"a.{ending}"
    left = tone(0.5)
    sf.write(path, np.stack([left, 0 * left], axis=1), 16000, subtype=subtype)
    found = read_audio(str(path))
    assert found.dtype == np.float32
    assert found.shape == left.shape
    assert np.abs(found - left / 2).max() <= error + 1e-7
    cut = read_audio(f"{path}#t=0.1,0.3")
    assert np.abs(cut - found[1600:4800]).max() <= 1e-6


def test_another_rate_keeps_the_tone(tmp_path):
    for rate in (8000, 22050, 44100):
        sf.write(tmp_path / "a.wav", tone(0.5, rate), rate, subtype="FLOAT")
        found = read_audio(str(tmp_path / "a.wav"))
        assert len(found) == 8000
        assert np.abs(found - tone(0.5))[200:-200].max() < 0.01


def test_mp3_and_the_sound_of_a_clip(tmp_path, clip):
    sf.write(tmp_path / "a.mp3", tone(1.0), 16000, format="MP3")
    for path in (str(tmp_path / "a.mp3"), clip):
        found = read_audio(path)
        strength = np.abs(np.fft.rfft(found[2000:14000]))
        assert strength.argmax() == round(440 * 12000 / 16000)
        cut = read_audio(f"{path}#t=0.25,0.5")
        assert len(cut) == 4000
        assert np.abs(cut - found[4000:8000]).max() < 1e-6
    assert len(read_audio(f"{clip}#t=1.9")) == len(read_audio(clip)) - round(1.9 * 16000)


# video


def test_the_middle_frames_of_equal_parts(clip):
    found = read_video(clip, frames=5)
    assert (found.shape, found.dtype) == ((5, 32, 48, 3), np.uint8)
    assert brightness(found) == [2, 6, 10, 14, 18]
    assert brightness(read_video(clip, frames=1)) == [10]
    assert brightness(read_video(f"{clip}#t=0.5,1.0", frames=5)) == [5, 6, 7, 8, 9]
    assert brightness(read_video(f"{clip}#t=1.8", frames=4)) == [18, 18, 19, 19]
    assert brightness(read_video(f"{clip}#t=0.72,0.77", frames=2)) == [7, 7]


def test_the_short_side_and_the_turn_of_a_clip(tmp_path, clip):
    assert read_video(clip, frames=2, short_side=16).shape == (2, 16, 24, 3)
    path = write_mp4(tmp_path / "turned.mp4", side_by_side=True)
    content = (tmp_path / "turned.mp4").read_bytes()
    at = content.index(b"tkhd") + 4 + 40  # the matrix of the track's header (ISO 14496-12)
    turn = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 32 << 16, 0, 1 << 30)  # clockwise by 90 degrees
    (tmp_path / "turned.mp4").write_bytes(content[:at] + turn + content[at + 36 :])
    found = read_video(path, frames=2)[1]
    assert found.shape == (48, 32, 3)
    assert found[:20].mean() < 20 < 100 < found[28:].mean()  # what was left is now above


def test_a_folder_of_frames_is_a_clip(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for k in range(12):
        picture(folder / f"frame_{k}.png", np.full((8, 10, 3), 10 * k, dtype=np.uint8))
    (folder / "notes.txt").write_text("no frame")
    assert brightness(read_video(str(folder), frames=12)) == list(range(12))
    assert read_video(f"{folder}/", frames=3, short_side=4).shape == (3, 4, 5, 3)
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"deep/clip/{path.name}")
    packed = f"{tmp_path / 'clips.zip'}!deep/clip/"
    assert brightness(read_video(packed, frames=4)) == [1, 4, 7, 10]
    assert media.kind(packed) == media.kind(f"{folder}/") == "video"
    with pytest.raises(Unreadable, match="seconds"):
        read_video(f"{folder}/#t=0,1")
    with pytest.raises(Unreadable, match="no folder with pictures"):
        read_video(f"{tmp_path / 'clips.zip'}!deep/")


def test_a_clip_that_holds_fewer_frames_than_it_tells(clip, monkeypatch):
    from modest.data import clips

    real = clips._times
    monkeypatch.setattr(clips, "_times", lambda *given: np.append(real(*given), [5.0, 6.0]))
    assert brightness(read_video(clip, frames=5)) == [2, 6, 10, 14, 18]


# text


def test_text_is_itself_or_a_file(tmp_path):
    assert read_text(" a cat, see notes.txt") == "a cat, see notes.txt"
    (tmp_path / "a.txt").write_bytes("\ufeffcafé\n".encode())
    (tmp_path / "b.txt").write_bytes("café".encode("latin-1"))
    assert read_text(str(tmp_path / "a.txt")) == read_text(str(tmp_path / "b.txt")) == "café"
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.write(tmp_path / "a.txt", "x/a.txt")
    assert read_text(f"{tmp_path / 't.zip'}!x/a.txt") == "café"
    long = "x" * 10_000_000
    with pytest.raises(Unreadable, match=r"10,000,000 characters .* 1,000,000"):
        read_text(long)
    (tmp_path / "long.txt").write_text(long)
    with pytest.raises(Unreadable, match="10,000,000 bytes"):
        read_text(str(tmp_path / "long.txt"))
    with pytest.raises(Unreadable, match="empty"):
        read_text(" \n")
    with pytest.raises(Unreadable, match="is not there"):
        read_text(str(tmp_path / "gone.txt"))


# what goes wrong


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.wav", "a.flac", "a.mp3", "a.ogg", "a.m4a", "a.mp4", "a.avi"])
def test_bad_files_are_one_sentence(tmp_path, name):
    read = READERS[media.kind(name)]
    path = tmp_path / name
    for content, told in (
        (None, "is not there"),
        (b"", "is empty"),
        (b"this is a text, not a medium\n" * 200, "put the right file there|copy it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Unreadable, match=told) as caught:
            read(str(path))
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


@pytest.mark.parametrize("ending", ["png", "jpg", "flac", "wav", "mp4", "gif"])
def test_half_a_file_is_damaged(tmp_path, clip, ending):
    whole = tmp_path / f"whole.{ending}"
    if ending in ("flac", "wav"):
        sf.write(whole, np.random.default_rng(0).uniform(-1, 1, 20000), 16000)
    elif ending == "mp4":
        write_mp4(whole)
    else:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        picture(whole, noise)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    with pytest.raises(Unreadable):
        READERS[media.kind(whole.name)](str(whole))


def test_a_clip_without_sound_and_sound_without_pictures(tmp_path):
    silent = write_mp4(tmp_path / "silent.mp4", frames=3)
    with pytest.raises(Unreadable, match=r"silent.mp4 has no sound"):
        read_audio(silent)
    sf.write(tmp_path / "a.wav", tone(0.1), 16000)
    with pytest.raises(Unreadable, match="has no pictures"):
        read_video(str(tmp_path / "a.wav"))


def test_cuts_outside_a_clip_or_wrong_are_told(tmp_path, clip):
    for read in (read_audio, read_video):
        with pytest.raises(Unreadable, match="where it is cut"):
            read(f"{clip}#t=7,8")
        with pytest.raises(Unreadable, match="ends before it starts"):
            read(f"{clip}#t=2,1")
        with pytest.raises(Unreadable, match="#t=start,end"):
            read(f"{clip}#t=one")
    assert media.kind(f"{clip}#t=1,2") == "video"
    assert media.kind("a #t=1,2") is None


def test_a_missing_library_is_named_and_not_taken_for_a_bad_file(tmp_path, clip, monkeypatch):
    import sys

    sf.write(tmp_path / "a.wav", tone(0.1), 16000)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for read, path in ((read_audio, clip), (read_audio, str(tmp_path / "a.wav")), (read_video, clip)):
        with pytest.raises(ImportError, match=r"pip install 'modest\[media\]'"):
            read(path)


# archives


def test_members_of_a_zip_are_read_by_many_threads_and_after_a_change(tmp_path):
    path = tmp_path / "a.zip"
    contents = {f"{k}.bin": bytes([k]) * 5000 for k in range(100)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    wrong = []

    def work():
        wrong.extend(name for name, content in contents.items() if media.read_bytes(f"{path}!{name}") != content)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.bin", b"new")
    assert media.read_bytes(f"{path}!0.bin") == b"new"
    with pytest.raises(FileNotFoundError, match=r"no member '1.bin'"):
        media.read_bytes(f"{path}!1.bin")


def test_thousands_of_members_parse_the_archive_once(tmp_path, monkeypatch):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for k in range(50):
            archive.writestr(f"{k}.png", buffer.getvalue())
    opened = []
    real = media.open_archive
    monkeypatch.setattr(media, "open_archive", lambda path: opened.append(path) or real(path))
    assert all((read_image(f"{tmp_path / 'a.zip'}!{k}.png") == PIXELS).all() for k in range(50))
    assert len(opened) == 1
    monkeypatch.setattr(media.os, "getpid", lambda: -1)  # a forked process opens its own
    assert (read_image(f"{tmp_path / 'a.zip'}!7.png") == PIXELS).all()
    assert len(opened) == 2


def test_a_damaged_member_is_named(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"0123456789" * 10)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0123456789", b"012345678X", 1))
    with pytest.raises(Unreadable, match=r"a.png is damaged"):
        read_image(f"{path}!a.png")
    path.write_bytes(content[:60])
    with pytest.raises(Unreadable, match=r"a.zip is truncated"):
        read_image(f"{path}!a.png")
