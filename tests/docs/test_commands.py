"""The runner of the guides' commands: what a page shows is done, and what fails is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfuse_docs.blocks import blocks
from crossfuse_docs.commands import run_pages

PAGE = """\
# Page

```bash
mkdir made
echo 1 > made/file
```

Not seen: ```text``` and

```text
false
```

```python
assert open("made/file").read() == "1\\n"
```

<!-- skip: needs a camera -->
```bash
false
```

<!-- background: test -e ready -->
```bash
touch ready; sleep 60
```

<!-- exit code: 3 -->
```bash
test -e ready
exit 3
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "docs" / "index.md"
    (path.parent / "guides").mkdir(parents=True)
    path.write_text(PAGE)
    return path


def test_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_pages(tmp_path, []) == 0
    printed = capsys.readouterr().out
    assert "not run: docs/index.md:19: needs a camera" in printed
    assert "4 blocks to run, 1 left out, 0 pages failed" in printed


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("mkdir made", "mkdir a/made", "docs/index.md:3 ended with exit code 1, not 0"),
        ("exit 3", "exit 0", "docs/index.md:29 ended with exit code 0, not 3"),
        ("== ", "!= ", "docs/index.md:14 ended with exit code 1"),
        ("touch ready; sleep 60", "exit 1", "docs/index.md:24 did not get ready"),
    ],
)
def test_a_block_that_does_otherwise_is_told(
    page: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    before: str,
    after: str,
    told: str,
) -> None:
    page.write_text(PAGE.replace(before, after))
    assert run_pages(tmp_path, ["index.md"]) == 1
    assert told in capsys.readouterr().err


def test_a_note_that_is_misspelt_is_refused(page: Path, tmp_path: Path) -> None:
    page.write_text(PAGE.replace("<!-- skip:", "<!-- skipp:"))
    with pytest.raises(ValueError, match="skipp"):
        blocks(tmp_path, "index.md")
