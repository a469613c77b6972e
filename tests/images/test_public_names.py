"""What `crossfuse.images` promises."""

from __future__ import annotations

from types import ModuleType

from crossfuse import images


def test_all_is_the_truth() -> None:
    visible = {
        name
        for name, value in vars(images).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert visible == set(images.__all__)
