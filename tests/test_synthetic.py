"""Synthetic streets: what each camera sees and what it does not, at any size and time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from crossfuse.errors import InvalidInput
from crossfuse.synthetic import Scene, pair
from crossfuse.synthetic.__main__ import SAMPLE_SEED, main
from crossfuse.synthetic.bodies import Walk
from crossfuse.synthetic.design import design_street

Bytes = npt.NDArray[np.uint8]
SEEDS = [0, 1, SAMPLE_SEED]


def grey(visible: Bytes) -> npt.NDArray[np.float32]:
    return cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY).astype(np.float32)


def body_masks(seed: int) -> list[tuple[bool, npt.NDArray[np.bool_]]]:
    """For each body at time 0: whether it is behind the smoke, and the pixels it covers."""
    street = design_street(seed, 480, 640, night=True)
    found = []
    for body in street.bodies:
        rendered = body.draw(street.camera, 0.0).render()
        assert rendered is not None
        box, alpha, _, _ = rendered
        mask = np.zeros((480, 640), np.bool_)
        mask[box] = (alpha > 0.99) & (street.depth[box] > body.walk.z - 0.4)
        found.append((body.walk.z > street.smoke.z, mask[:, ::-1] if street.mirrored else mask))
    return found


def around(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A ring 4 to 12 pixels away from a mask."""
    far, near = (
        cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0 for size in (25, 9)
    )
    return far & ~near


@pytest.mark.parametrize(
    ("height", "width"), [(16, 16), (32, 32), (33, 47), (247, 359), (480, 640), (20, 300)]
)
@pytest.mark.parametrize("night", [True, False])
def test_pictures_have_the_promised_form(height: int, width: int, night: bool) -> None:
    infrared, visible = Scene(3, height, width, night).frame(0.5)
    assert infrared.dtype == visible.dtype == np.uint8
    assert infrared.shape == (height, width)
    assert visible.shape == (height, width, 3)
    assert infrared.flags.c_contiguous
    assert visible.flags.c_contiguous
    assert infrared.std() > 5
    assert visible.std() > 5


def test_a_seed_and_a_time_decide_everything() -> None:
    scene = Scene(7, 120, 160)
    first = scene.frame(0.3)
    scene.frame(9.0)
    for again in (scene.frame(0.3), Scene(7, 120, 160).frame(0.3)):
        assert np.array_equal(again[0], first[0])
        assert np.array_equal(again[1], first[1])
    assert not np.array_equal(pair(8, 120, 160)[1], pair(7, 120, 160)[1])


def test_a_seed_is_the_same_street_at_every_size() -> None:
    for seed in SEEDS[:2]:
        large = Scene(seed, 240, 320).frame(0.0)
        small = Scene(seed, 120, 160).frame(0.0)
        for one, other in zip(large, small, strict=True):
            shrunk = cv2.resize(one, (160, 120), interpolation=cv2.INTER_AREA)
            assert np.corrcoef(shrunk.ravel(), other.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_warm_bodies_show_in_infrared_and_hide_in_the_visible_picture(seed: int) -> None:
    infrared, visible = pair(seed)
    luma = grey(visible)
    hidden = 0
    masks = body_masks(seed)
    for behind_smoke, mask in masks:
        ring = around(mask)
        for _, other in masks:
            ring &= ~other
        assert infrared[mask].mean() - infrared[ring].mean() > 60
        contrast = abs(float(luma[mask].mean() - luma[ring].mean()))
        if behind_smoke:
            assert contrast < 12
        hidden += contrast < 15
    assert hidden >= len(masks) - 1  # one of them walks under the lamp


def test_fine_texture_is_in_the_visible_picture() -> None:
    infrared, visible = pair(SAMPLE_SEED)
    bricks = np.s_[190:330, 85:160]
    walls = [np.abs(cv2.Laplacian(one, cv2.CV_32F)[bricks]).mean() for one in (infrared, visible)]
    assert walls[1] > 2 * walls[0]
    assert np.ptp(visible.astype(np.int16), axis=2).max() > 100, "it has colours"


def test_bodies_walk_and_the_street_stands_still() -> None:
    scene = Scene(SAMPLE_SEED)
    frames = [scene.frame(seconds)[0].astype(np.int16) for seconds in (0.0, 0.04, 1.0)]
    step, far = (np.abs(one - frames[0]) > 40 for one in frames[1:])
    assert 0 < step.sum() < far.sum()
    assert far.mean() < 0.05
    sky = np.s_[:60, 300:420]
    assert all(abs(frame[sky].mean() - frames[0][sky].mean()) < 0.5 for frame in frames)


def test_a_walk_turns_and_never_jumps() -> None:
    walk = Walk(z=10.0, centre=2.0, reach=1.5, speed=1.0, start=0.7)
    moments = np.arange(0.0, 30.0, 0.02)
    places = np.array([walk.at(float(moment))[:2] for moment in moments])
    assert places[:, 0].min() == pytest.approx(0.5, abs=0.03)
    assert places[:, 0].max() == pytest.approx(3.5, abs=0.03)
    assert np.abs(np.diff(places[:, 0])).max() < 0.021
    moving = np.sign(np.diff(places[:, 0]))
    assert (moving == places[1:, 1]).mean() > 0.98, "it looks where it goes"


def test_by_day_the_sky_is_bright_and_cold() -> None:
    infrared, visible = Scene(1, night=False).frame(0.0)
    sky = np.s_[:60, 300:420]
    assert grey(visible)[sky].mean() > 120
    assert visible[sky][..., 2].mean() > visible[sky][..., 0].mean()
    assert infrared[sky].mean() < 20


@pytest.mark.parametrize(
    ("field", "seed", "height", "width"),
    [("seed", -1, 48, 64), ("height", 0, 15, 64), ("width", 0, 48, 0)],
)
def test_impossible_scenes_are_refused(field: str, seed: int, height: int, width: int) -> None:
    with pytest.raises(InvalidInput, match=f"{field}: got") as refused:
        Scene(seed, height, width)
    assert refused.value.field == field


def test_the_shipped_sample_is_what_the_command_writes(tmp_path: Path) -> None:
    main([str(tmp_path / "new")])
    spec = importlib.util.find_spec("crossfuse")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    shipped = Path(spec.submodule_search_locations[0]) / "assets" / "sample"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["ir.png", "vis.png"]
    for name in ("ir.png", "vis.png"):
        assert (shipped / name).stat().st_size < 500_000
        written, kept = (
            cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
            for folder in (tmp_path / "new", shipped)
        )
        assert written is not None
        assert kept is not None
        assert written.shape == kept.shape
        # Another processor may round differently, no more than that.
        assert cv2.absdiff(written, kept).mean() < 0.5


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "file")])
    assert ended.value.code == 1
    assert "file: cannot be written:" in capsys.readouterr().err
