"""Writes what the homes' meters saw as readings files, the format that `oracle.meters` reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from demo.files import write_lines
from demo.homes import HOURS, Home, moment_of
from oracle.meters import COLUMNS, Direction, Quality


def write_readings(
    path: Path,
    homes: Iterable[Home],
    day: int,
    *,
    missing: Collection[tuple[int, int]] = (),
    estimated: Collection[tuple[int, int]] = (),
) -> None:
    """Writes one day of the homes' meters, both registers of every hour, and makes the folder where it lacks.

    `missing` and `estimated` name hours as (home index, hour). A missing hour has no figure; an estimated one repeats
    the same hour of the day before, as a utility does that cannot reach a meter. Raises ValueError outside the week.
    """
    write_lines(path, COLUMNS, _lines(homes, day, missing, estimated))


def _lines(
    homes: Iterable[Home], day: int, missing: Collection[tuple[int, int]], estimated: Collection[tuple[int, int]]
) -> Iterator[tuple[str, ...]]:
    for home in homes:
        for hour in range(HOURS):
            if (home.index, hour) in missing:
                quality = Quality.MISSING
            else:
                quality = Quality.ESTIMATED if (home.index, hour) in estimated else Quality.READ
            yield from _registers(home, day, hour, quality)


def _registers(home: Home, day: int, hour: int, quality: Quality) -> Iterator[tuple[str, ...]]:
    """Both registers of an hour: a meter that only imported says that it exported nothing."""
    start, end = (moment_of(day, hour + step).isoformat() for step in (0, 1))
    net = home.at(day - 1 if quality is Quality.ESTIMATED else day, hour).net
    for direction in Direction:
        figure = net.raw_kwh if direction is net.direction else "0"
        yield home.meter_id, start, end, direction, "" if quality is Quality.MISSING else figure, quality
