"""The configurations that the demo writes are ones that the members' own programs read."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.homes import Home
from demo.members import GATEWAY, Members, make_members
from demo.setting import Setting
from member.keys import load_key
from oracle.config import UtilityConfig
from oracle.metering import read_own_meters
from trading.config import PlatformConfig, Relay


@pytest.fixture
def members(tmp_path: Path) -> Members:
    return make_members(tmp_path)


@pytest.fixture
def setting(tmp_path: Path, members: Members, homes: tuple[Home, ...]) -> Iterator[Setting]:
    first, second, third = members.platforms
    locks = {frozenset({first.name, second.name}): 100, frozenset({second.name, third.name}): 50}
    made = Setting(tmp_path, "http://127.0.0.1:8545", members, homes, locks, claimant=first.name)
    made.write()
    yield made
    made.close()


def test_platforms_read_theirs(setting: Setting, members: Members) -> None:
    first, second, third = members.platforms
    read = {one: PlatformConfig.load(one.folder / "config.toml") for one in members.platforms}
    assert read[first].partner(second.id).lock_percent == read[second].partner(first.id).lock_percent == 100
    assert read[second].partner(third.id).lock_percent == 50
    assert read[first].partner(third.id).lock_percent == 0
    assert [read[one].platform.relay for one in members.platforms] == [Relay.OWN, Relay.GATEWAY, Relay.OWN]
    assert not any(partner.early for config in read.values() for partner in config.partners)
    assert read[first].timings.claim_after < read[second].timings.claim_after == read[third].timings.claim_after
    for member, config in read.items():
        assert config.subscriber == member.subscriber
        assert config.peers == {
            one.subscriber: setting.addresses[one.name].url for one in members.programs if one is not member
        }
        assert config.gateway == setting.addresses[GATEWAY].url
        assert load_key(config.keys.hot) == member.hot_key
        assert load_key(config.keys.relayer) == member.relayer_key
        assert load_key(config.platform.salt_secret) == member.salt_secret


def test_utilities_read_theirs(setting: Setting, members: Members, homes: tuple[Home, ...]) -> None:
    counts = []
    for member in members.utilities:
        config = UtilityConfig.load(member.folder / "config.toml")
        assert load_key(config.keys.hot) == member.hot_key
        counts.append(len(read_own_meters(config.utility.meters)))
    assert counts == [9, 8, 0, 0]
    assert sum(counts) == len(homes)


def test_keys_are_their_owners_alone(setting: Setting, tmp_path: Path) -> None:
    files = list(tmp_path.rglob("*.key"))
    assert len(files) == 3 * 7 + 1
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_who_signs_early_is_told_anew(setting: Setting, members: Members) -> None:
    first, second, third = members.platforms
    file = first.folder / "config.toml"
    before = file.read_text()
    setting.write_config(first, {second.name})
    config = PlatformConfig.load(file)
    assert config.partner(second.id).early
    assert not config.partner(third.id).early
    setting.write_config(first)
    assert file.read_text() == before
