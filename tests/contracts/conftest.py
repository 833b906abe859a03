"""What all tests of contracts stand on."""

from __future__ import annotations

from collections.abc import Iterator

import boa  # type: ignore[import-untyped]
import pytest

from tests.contracts.chains import own_chain


@pytest.fixture(autouse=True, scope="module")
def _own_chain() -> Iterator[None]:
    """Each file has a chain of its own."""
    with boa.swap_env(own_chain()):
        yield
