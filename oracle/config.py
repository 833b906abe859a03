"""A utility's configuration: every member's, and the table `[utility]`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from member.config import MemberConfig, RelativePath, Table
from settlement.config import HOUR
from settlement.errors import SettlementError
from settlement.formula.compiler import FLAT_SUFFIX
from settlement.units import flat_rate, rate_per_kwh

READINGS = "readings"
CURTAILMENTS = "curtailments"
OVERRIDES = "overrides"


def _tariff(found: object) -> dict[str, int]:
    if not isinstance(found, Mapping):
        raise ValueError("must be a table of rate names with decimals as text")
    try:
        return {
            name: flat_rate(rate) if name.endswith(FLAT_SUFFIX) else rate_per_kwh(rate) for name, rate in found.items()
        }
    except SettlementError as error:
        raise ValueError(f"{error.message} (got {error.value!r})") from None


class UtilityTable(Table):
    """`[utility]`.

    `meters` lists its meters (CSV, `meter_id` or `meter_id,export_wh,import_wh`), `salt_secret` holds 32 bytes as hex
    that pseudonyms are made from. An allocation is made `allocate_after` seconds after the cycle's end (or the seal of
    the run before) where all readings are there, else `incomplete_wait` seconds before the run's deadline. A reading
    over `outlier_percent` of its meter's limit is not signed without a word of the operator's. `tariff` are the least
    rates per kWh, as decimal text in main units of the currency, that the utility takes where it is paid by them.
    """

    meters: RelativePath = Field(strict=False)
    salt_secret: RelativePath = Field(strict=False)
    allocate_after: int = Field(HOUR, ge=0)
    incomplete_wait: int = Field(HOUR, ge=0)
    outlier_percent: int = Field(120, ge=100)
    tariff: Annotated[dict[str, int], BeforeValidator(_tariff)] = Field(default_factory=dict)


class UtilityConfig(MemberConfig):
    """What a utility's daemon is told."""

    utility: UtilityTable

    @property
    def readings(self) -> Path:
        """Where readings files are put."""
        return self.inbox / READINGS

    @property
    def curtailments(self) -> Path:
        """Where curtailment files are put."""
        return self.inbox / CURTAILMENTS

    @property
    def overrides(self) -> Path:
        """Where an operator says why an allocation is signed in spite of its outliers."""
        return self.inbox / OVERRIDES
