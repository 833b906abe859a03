"""A utility's own meters: their limits, what they are called on chain in a cycle, and what they measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from member.lines import Cells, FieldError, field_value, read_lines
from oracle.meters import METER_COLUMNS, Direction, MeterReading, Quality
from settlement.cycle import Group, SlotReading
from settlement.faults import Status
from settlement.hashing import Hash32, keccak256
from settlement.identity import canonical_meter_id, meter_hash
from settlement.placed import Side
from settlement.units import WH_BOUND
from store.desk import DeskStore
from store.records import MeterPseudonym, RecordedReading

LIMIT_COLUMNS = ("meter_id", "export_wh", "import_wh")

SIDES: Mapping[Direction, Side] = {Direction.EXPORT: Side.SELLER, Direction.IMPORT: Side.BUYER}
"""An export is what a seller's meter delivered, an import what a buyer's took."""


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter of the utility, and the most it may deliver and take in a slot, Wh; None where there is no limit."""

    meter_id: str
    export_wh: int | None = None
    import_wh: int | None = None

    def limit(self, side: Side) -> int | None:
        """The limit of what a trade's side uses."""
        return self.import_wh if side is Side.BUYER else self.export_wh


def read_own_meters(path: Path) -> dict[str, Meter]:
    """A utility's meters by canonical id: header `meter_id`, or `meter_id,export_wh,import_wh` with limits in whole Wh.

    An empty limit is none. Raises LineError and OSError like `oracle.meters.read_readings`.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        has_limits = "," in file.readline()
    columns = LIMIT_COLUMNS if has_limits else METER_COLUMNS
    return {one.meter_id: one for one in read_lines(path, columns, _meter, lambda one: one.meter_id, "meter")}


def meter_pseudonym(secret: bytes, utility: Hash32, meter_id: str, cycle: int) -> MeterPseudonym:
    """What a meter is called in a cycle: the utility's secret makes one salt a meter and cycle."""
    salt = keccak256(secret, b"meter salt", meter_id.encode(), cycle.to_bytes(8, "big"))
    return MeterPseudonym(utility, meter_id, cycle, salt, meter_hash(salt, meter_id))


class MeterBook:
    """A utility's meters and what they are called in each cycle. Any thread may use it.

    What was told once stands, even under another secret: a meter has one pseudonym a cycle, or its reading would be
    allocated twice.
    """

    def __init__(self, utility: Hash32, meters: Mapping[str, Meter], secret: bytes, store: DeskStore) -> None:
        self.utility = utility
        self.meters = meters
        self._secret = secret
        self._store = store
        self._by_cycle: dict[int, dict[str, MeterPseudonym]] = {}

    def of_cycle(self, cycle: int) -> Mapping[str, MeterPseudonym]:
        """What the meters are called in a cycle, by meter id."""
        if cycle not in self._by_cycle:
            told = {one.meter_id: one for one in self._store.meters(cycle) if one.utility == self.utility}
            self._by_cycle[cycle] = {
                meter: told.get(meter) or meter_pseudonym(self._secret, self.utility, meter, cycle)
                for meter in self.meters
            }
        return self._by_cycle[cycle]

    def ids(self, cycle: int) -> Mapping[Hash32, str]:
        """The meters' ids by what they are called in a cycle."""
        return {one.meter: meter for meter, one in self.of_cycle(cycle).items()}

    def tell(self, meter_id: str, cycle: int) -> MeterPseudonym | None:
        """What a meter is called in a cycle, kept before it is told; None for one that is not the utility's."""
        found = self.of_cycle(cycle).get(meter_id)
        if found is not None:
            self._store.keep_meter(found)
        return found


def merged(files: Iterable[Iterable[MeterReading]]) -> tuple[MeterReading, ...]:
    """The readings of several files: of one register in one slot the last file's, but a figure before none."""
    found: dict[tuple[str, int, Direction], MeterReading] = {}
    for readings in files:
        for one in readings:
            key = one.meter_id, one.slot_start, one.direction
            if one.quality is not Quality.MISSING or key not in found:
                found[key] = one
    return tuple(found[key] for key in sorted(found))


def by_group(readings: Iterable[RecordedReading]) -> dict[Group, SlotReading]:
    """Readings as the rules take them."""
    return {
        (one.meter, one.slot_start, SIDES[Direction(one.direction)]): SlotReading(one.wh, Status[one.quality])
        for one in readings
    }


def recorded(
    readings: Iterable[MeterReading], pseudonyms: Mapping[str, MeterPseudonym], run: int
) -> tuple[RecordedReading, ...]:
    """Readings under the pseudonyms of their cycle, by meter id; those of other meters are left out."""
    return tuple(
        RecordedReading(
            run=run,
            utility=known.utility,
            meter=known.meter,
            meter_id=one.meter_id,
            salt=known.salt,
            slot_start=one.slot_start,
            slot_end=one.slot_end,
            direction=one.direction.value,
            wh=one.wh,
            raw_kwh=one.raw_kwh,
            quality=one.quality.value,
        )
        for one in readings
        if (known := pseudonyms.get(one.meter_id)) is not None
    )


def _meter(cells: Cells) -> Meter:
    meter_id = field_value("meter_id", cells["meter_id"], canonical_meter_id)
    return Meter(meter_id, _limit("export_wh", cells), _limit("import_wh", cells))


def _limit(field: str, cells: Cells) -> int | None:
    text = cells.get(field, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < WH_BOUND):
        raise FieldError(field, "must be whole Wh, below 2^40", text)
    return int(text)
