"""Recordings as cameras and people leave them: with gaps, trimmed, turned, of odd sizes, slow."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.images import read_visible
from crossfuse.video import FusedPair, VideoOptions, fuse_streams
from crossfuse.video.av_sink import AvSink
from crossfuse.video.flicker import FlickerMeter
from crossfuse.video.folder_source import frame_numbers
from crossfuse.video.frames import Progress, SourceInfo, SourceLost


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["0001", "0002", "0004", "0005"], [0, 1, 3, 4]),
        (["f8", "f9", "f10", "f12"], [0, 1, 2, 4]),
        (["ir_5_day", "ir_10_day", "ir_15_day", "ir_30_day"], [0, 1, 2, 5]),
        (["1700", "1733", "1766", "1800"], [0, 1, 2, 3]),  # milliseconds
        (["a1", "b2", "c4"], [0, 1, 2]),
        (["dawn", "noon", "9"], [0, 1, 2]),
        (["7"], [0]),
    ],
)
def test_names_that_count_say_which_frame_is_missing(names: list[str], numbers: list[int]) -> None:
    assert frame_numbers(names) == numbers


def test_a_folder_with_gaps_pairs_the_pictures_of_one_number(
    tmp_path: Path, fuser: Fuser, make_folder: Callable[..., Path]
) -> None:
    ir, vis = make_folder(tmp_path / "ir"), make_folder(tmp_path / "vis")
    (ir / "f3.png").unlink()
    (vis / "f7.png").unlink()
    apart: list[float] = []

    def compare(pair: FusedPair) -> None:
        apart.append(float(pair.pair.ir.mean()) - float(pair.pair.vis.mean()))

    options = VideoOptions(ir_mapping="none")
    summary = fuse_streams(ir, vis, fuser=fuser, options=options, on_frame=compare)
    assert (summary.fused, summary.problems) == (10, [])
    assert summary.dropped == {"infrared: unpaired": 1, "visible: unpaired": 1}
    assert np.abs(apart).max() < 4  # a frame further would be 8


def test_pictures_of_odd_sizes_keep_their_size_in_a_folder(tmp_path: Path, fuser: Fuser) -> None:
    pytest.importorskip("av")
    ramp: NDArray[np.uint8] = np.tile(np.arange(65, dtype=np.uint8) * 3, (47, 1))
    for name in ("ir", "vis"):
        (tmp_path / name).mkdir()
        for number in range(3):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), ramp + np.uint8(number))
    outputs = [tmp_path / "out", tmp_path / "av.mp4"]
    fuse_streams(tmp_path / "ir", tmp_path / "vis", outputs, fuser=fuser)
    options = VideoOptions(encoder="opencv")
    opencv = tmp_path / "opencv.mp4"
    summary = fuse_streams(tmp_path / "ir", tmp_path / "vis", opencv, fuser=fuser, options=options)
    assert summary.size == (65, 47)
    assert read_visible(tmp_path / "out" / "000000.png").shape == (47, 65)
    for path in (outputs[1], opencv):
        capture = cv2.VideoCapture(str(path))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
        good, frame = capture.read()
        assert good
        assert frame.shape == (48, 66, 3)
        assert abs(int(frame[20, 65, 0]) - int(ramp[20, 64])) < 12  # not a black border


def test_a_visible_source_that_changes_evenly_leaves_flicker_undefined() -> None:
    random = np.random.default_rng(0)
    meter = FlickerMeter()
    for number in range(8):
        vis = np.full((47, 65, 3), 20, np.uint8)
        vis[:, : 2 * number] = 220
        fused = np.full_like(vis, random.integers(90, 110))
        meter.add(fused, vis)
    assert meter.ratio is None


def test_a_rate_that_no_video_has_is_refused(
    fuser: Fuser, tmp_path: Path, make_folder: Callable[..., Path]
) -> None:
    folder = make_folder(tmp_path / "pictures", 2)
    with pytest.raises(InvalidInput, match=r"fps: got 0\.0001; valid: a rate of 0\.01 to 1000"):
        fuse_streams(folder, folder, fuser=fuser, options=VideoOptions(fps=0.0001))
    hour = fuse_streams(
        folder, folder, tmp_path / "out.mp4", fuser=fuser, options=VideoOptions(fps=0.01)
    )
    assert hour.problems == []
    assert hour.infrared is not None
    assert (hour.duration, hour.infrared.clock_jumps) == (200.0, 0)


def test_frames_after_the_last_one_wanted_are_accounted_for(
    tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path]
) -> None:
    video = make_video(tmp_path / "video.mp4", 28)
    summary = fuse_streams(video, video, fuser=fuser, options=VideoOptions(max_frames=2))
    assert summary.fused == 2
    assert summary.pairs == 2 + summary.dropped.get("pair: beyond max_frames", 0)
    assert set(summary.dropped) <= {"pair: beyond max_frames"}


class TestOfFiles:
    """What only the container knows."""

    def remux(self, video: Path, name: str, *, turned: int = 0, begins: float = 0.0) -> Path:
        """The same packets, shown turned, or from a later moment on."""
        av = pytest.importorskip("av")
        with av.open(str(video)) as source, av.open(str(video.with_name(name)), "w") as target:
            stream = source.streams.video[0]
            copy = target.add_stream_from_template(stream)
            if turned:
                copy.set_display_rotation(turned)
            early = round(begins / stream.time_base)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.pts, packet.dts = packet.pts - early, packet.dts - early
                    packet.stream = copy
                    target.mux(packet)
        return video.with_name(name)

    def test_a_video_that_was_trimmed_without_encoding_is_whole(
        self,
        tmp_path: Path,
        fuser: Fuser,
        picture: Callable[[int], NDArray[np.uint8]],
        number: Callable[[NDArray[np.uint8]], int],
    ) -> None:
        av = pytest.importorskip("av")
        with av.open(str(tmp_path / "long.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for count in range(20):
                frame = av.VideoFrame.from_ndarray(picture(count), format="gray")
                frame.pts, frame.time_base = count, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        trimmed = self.remux(tmp_path / "long.mp4", "trimmed.mp4", begins=0.2)
        seen: list[int] = []
        summary = fuse_streams(
            trimmed, trimmed, fuser=fuser, on_frame=lambda pair: seen.append(number(pair.fused))
        )
        assert seen == list(range(5, 20))
        assert summary.problems == []
        assert summary.visible is not None
        assert (summary.visible.expected, summary.visible.state) == (15, "ended")

    @pytest.mark.parametrize("turned", [90, 180, -90])
    def test_both_decoders_show_a_turned_video_as_players_do(
        self, tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path], turned: int
    ) -> None:
        video = self.remux(make_video(tmp_path / "video.mp4", 6), "turned.mp4", turned=turned)
        shown: dict[str, NDArray[np.uint8]] = {}
        for decoder in ("av", "opencv"):

            def keep(pair: FusedPair, decoder: str = decoder) -> None:
                shown[decoder] = pair.pair.vis

            options = VideoOptions(decoder=decoder)
            assert fuse_streams(video, video, fuser=fuser, options=options, on_frame=keep).fused
        size = (48, 64) if turned == 180 else (64, 48)
        assert shown["av"].shape[:2] == shown["opencv"].shape[:2] == size
        assert cv2.absdiff(shown["av"], shown["opencv"]).max() < 4

    @pytest.mark.parametrize("decoder", ["opencv", "av"])
    def test_a_video_whose_beginning_is_broken_pairs_the_frames_of_one_moment(
        self,
        tmp_path: Path,
        fuser: Fuser,
        picture: Callable[[int], NDArray[np.uint8]],
        number: Callable[[NDArray[np.uint8]], int],
        decoder: str,
    ) -> None:
        pytest.importorskip("av")
        whole, broken = tmp_path / "whole.mp4", tmp_path / "broken.mp4"
        for path in (whole, broken):
            sink = AvSink(path, (64, 48), 25.0)
            for count in range(24):
                sink.write(picture(count), 40_000 * count)
            sink.close()
        data = bytearray(broken.read_bytes())
        begins = data.index(b"mdat", data.index(b"moof")) + 4
        ends = data.index(b"moof", begins) - 4
        data[begins:ends] = bytes(ends - begins)  # half a second that nobody can decode
        broken.write_bytes(data)
        apart: list[int] = []
        summary = fuse_streams(
            broken,
            whole,
            fuser=fuser,
            options=VideoOptions(decoder=decoder),
            on_frame=lambda pair: apart.append(number(pair.pair.ir) - number(pair.pair.vis)),
        )
        assert summary.infrared is not None
        assert summary.infrared.corrupt == summary.dropped["visible: unpaired"] >= 4
        assert apart == [0] * (24 - summary.infrared.corrupt)


def test_a_folder_whose_first_picture_is_broken_pairs_the_pictures_of_one_number(
    tmp_path: Path, fuser: Fuser, make_folder: Callable[..., Path]
) -> None:
    ir, vis = make_folder(tmp_path / "ir"), make_folder(tmp_path / "vis")
    (ir / "f0.png").write_bytes(b"no picture")
    apart: list[float] = []

    def compare(pair: FusedPair) -> None:
        apart.append(float(pair.pair.ir.mean()) - float(pair.pair.vis.mean()))

    options = VideoOptions(ir_mapping="none")
    summary = fuse_streams(ir, vis, fuser=fuser, options=options, on_frame=compare)
    assert summary.infrared is not None
    assert (summary.infrared.corrupt, summary.fused, summary.problems) == (1, 11, [])
    assert np.abs(apart).max() < 4
    for path in ir.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InvalidInput, match=r"f0\.png"):
        fuse_streams(ir, vis, fuser=fuser)


@pytest.mark.parametrize(
    ("promised", "fps", "interval", "count", "short"),
    [
        (150, 25.0, 40_000, 150, False),
        (150, 25.0, 40_000, 63, True),
        (672, 600.0, 40_000, 28, False),  # an .avi that counts what its camera left out
        (None, 25.0, 40_000, 3, False),
    ],
)
def test_a_recording_ends_early_by_number_and_by_time(
    promised: int | None, fps: float, interval: int, count: int, short: bool
) -> None:
    progress = Progress(SourceInfo("clip", 64, 48, fps, promised, live=False))
    for number in range(count):
        progress.add(number * interval)
    if short:
        with pytest.raises(SourceLost, match=f"clip: ended after {count} of {promised} frames"):
            progress.check_end()
    else:
        progress.check_end()
