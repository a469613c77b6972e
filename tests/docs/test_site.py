"""The site: built offline from these sources, and nothing in it comes from other hosts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

# Elements that make a browser load something, and what stylesheets load.
LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*\b(?:src|data)=\"(?P<a>[^\"]+)\""
    r"|<link\b[^>]*\bhref=\"(?P<b>[^\"]+)\"|url\(\s*['\"]?(?P<c>[^'\")]+)|@import\s+['\"](?P<d>[^'\"]+)"
)


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(root / "mkdocs.yml"), site_dir=str(folder))
    build(config)
    return folder


def loaded(text: str) -> list[str]:
    return [next(filter(None, match.groups())) for match in LOADS.finditer(text)]


def test_nothing_is_loaded_from_other_hosts(site: Path) -> None:
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 30
    for page in pages:
        foreign = [
            target
            for target in loaded(page.read_text(encoding="utf-8"))
            if re.match(r"(?:https?:)?//", target)
        ]
        assert not foreign, page.relative_to(site)


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js">',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img alt="" src="http://example/x.png">',
        "@import 'https://fonts.example/css'",
        "src:url(https://fonts.example/f.woff2)",
    ],
)
def test_what_would_be_loaded_is_seen(text: str) -> None:
    assert any("//" in target for target in loaded(text))


def test_linked_files_of_the_repository_are_pages(site: Path) -> None:
    assert (site / "repository" / "training" / "index.html").is_file()
    assert (site / "repository" / "protos" / "crossfuse" / "v1" / "fusion.proto.html").is_file()
    text = (site / "reference" / "grpc.html").read_text(encoding="utf-8")
    assert 'href="../repository/protos/crossfuse/v1/fusion.proto.html"' in text
