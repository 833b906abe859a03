"""What the tests of corruptions share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.completeness.counting import PROPERTY, portable, tally


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the test tries is counted, and told with its report."""
    tally.clear()
    yield
    request.node.user_properties.append((PROPERTY, portable(tally)))
