"""One gallery and one server for all tests of the page that a worker runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.page.gallery import Gallery, build, serving


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return build(tmp_path_factory.mktemp("gallery") / "workspace")


@pytest.fixture(scope="session")
def url(gallery: Gallery) -> Iterator[str]:
    with serving(gallery.root) as address:
        yield address
