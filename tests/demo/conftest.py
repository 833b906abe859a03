"""The real homes, loaded once."""

from __future__ import annotations

import pytest

from demo.homes import Home, HomesMissing, load_homes


@pytest.fixture(scope="session")
def homes() -> tuple[Home, ...]:
    try:
        return load_homes()
    except HomesMissing as error:
        pytest.skip(str(error))
