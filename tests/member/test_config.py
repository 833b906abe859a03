"""A member's configuration: what is read, and that every refusal names file and key and shows no secret."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from member.config import NO_PARTNER, MemberConfig
from member.errors import ConfigError
from settlement.identity import member_id

LEAST = """
subscriber = "SunMarket.example"
deployment = "market"
database = "sqlite:///state/member.db"
[chain]
rpc_url = "http://127.0.0.1:8545/a-token"
[keys]
hot = "keys/hot.json"
relayer = "/etc/keys/relayer"
"""

FULL = """
subscriber = "sunmarket.example"
deployment = "market"
database = "postgresql://member:geheim@db.example/member"
inbox = "../inbox"
listen = "[::1]:8100"
public_url = "https://sunmarket.example/"
gateway = "http://gateway.example:8000"
poll_ms = 250
[chain]
rpc_url = "http://127.0.0.1:8545"
finality = "depth:12"
[keys]
hot = "hot"
relayer = "relayer"
hot_password = "hot.password"
[market]
zone = "Asia/Kolkata"
[timings]
attest_after = 60
claim_after = 120
crank_delay = 5
[peers]
"RoofTrade.example" = "http://127.0.0.1:8101/"
[[partners]]
subscriber = "rooftrade.example"
early = true
lock_percent = 50
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "member.toml"
    file.write_text(text)
    return file


def refusal(folder: Path, text: str) -> ConfigError:
    file = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        MemberConfig.load(file)
    assert str(caught.value).startswith(f"{file}: ")
    return caught.value


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    config = MemberConfig.load(write(tmp_path, LEAST))
    assert config.subscriber == "sunmarket.example"
    assert config.id == member_id("SunMarket.example")
    assert config.deployment == tmp_path / "market"
    assert config.keys.hot == tmp_path / "keys" / "hot.json"
    assert config.keys.relayer == Path("/etc/keys/relayer")
    assert config.database == f"sqlite:///{tmp_path}/state/member.db"
    assert config.inbox == tmp_path / "inbox"
    assert config.address == ("127.0.0.1", 0)
    assert (config.peers, config.gateway, config.partners) == ({}, None, ())
    assert config.zone == ZoneInfo("UTC")
    assert config.chain.finality == "instant"


def test_everything(tmp_path: Path) -> None:
    config = MemberConfig.load(write(tmp_path, FULL))
    assert config.database == "postgresql://member:geheim@db.example/member"
    assert config.address == ("::1", 8100)
    assert config.public_url == "https://sunmarket.example"
    assert config.peers == {"rooftrade.example": "http://127.0.0.1:8101"}
    assert config.zone == ZoneInfo("Asia/Kolkata")
    assert (config.timings.attest_after, config.timings.claim_after, config.timings.crank_delay) == (60, 120, 5)
    partner = config.partner(member_id("rooftrade.example"))
    assert (partner.early, partner.lock_percent) == (True, 50)
    assert config.partner(member_id("wattbazaar.example")) == NO_PARTNER
    assert not NO_PARTNER.early
    assert config.poll_ms == 250


def test_paths_count_from_the_file_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, LEAST)
    monkeypatch.chdir(tmp_path)
    config = MemberConfig.load(Path("member.toml"))
    assert config.deployment == tmp_path / "market"


def test_no_secret_is_shown(tmp_path: Path) -> None:
    for text in (FULL, LEAST):
        shown = repr(MemberConfig.load(write(tmp_path, text)))
        assert "geheim" not in shown
        assert "a-token" not in shown


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ('subscriber = "SunMarket.example"', "", "subscriber", "is missing"),
        ('"SunMarket.example"', '"sun market"', "subscriber", "must be printable ASCII without spaces"),
        ('"SunMarket.example"', "7", "subscriber", "must be a valid string"),
        ('hot = "keys/hot.json"', "", "keys.hot", "is missing"),
        ("[keys]", "[keys]\ncold = 'x'", "keys.cold", "is not known"),
        ("[chain]", "port = 5\n[chain]", "port", "is not known"),
        ("[chain]", "[chain]\nfinality = 'soon'", "chain.finality", "finality is instant, depth:N or tag, not 'soon'"),
        (
            "http://127.0.0.1:8545/a-token",
            "ws://a",
            "chain.rpc_url",
            "must be the address of a node, as in http://host:port",
        ),
        (
            "sqlite:///state/member.db",
            "sqlite://",
            "database",
            "must name a file: what a member knows has to outlive it",
        ),
        ("sqlite:///state/member.db", "mysql://a/b", "database", "must be SQLite or PostgreSQL"),
        (
            "[chain]",
            "listen = '127.0.0.1'\n[chain]",
            "listen",
            "must be host:port, as in 127.0.0.1:8100; port 0 takes a free one",
        ),
        ("[chain]", "poll_ms = 0.5\n[chain]", "poll_ms", "must be a valid integer"),
        ("[chain]", "poll_ms = 0\n[chain]", "poll_ms", "must be greater than or equal to 10"),
        ("[chain]", "gateway = 'gateway:80'\n[chain]", "gateway", "must be a URL as in https://host:port"),
        ("[chain]", "[market]\nzone = 'Asia/Calcuta'\n[chain]", "market.zone", "there is no such time zone"),
        ("[chain]", "[peers]\n'roof' = 'http://u:p@h'\n[chain]", "peers.roof", "must not carry a user or password"),
        (
            "[chain]",
            "[timings]\nattest_after = -1\n[chain]",
            "timings.attest_after",
            "must be greater than or equal to 0",
        ),
        ("[chain]", "[timings]\nclaim_after = 0\n[chain]", "timings", "claim_after must not be before attest_after"),
        (
            "[chain]",
            "[[partners]]\nsubscriber='a'\nlock_percent=101\n[chain]",
            "partners.0.lock_percent",
            "must be less than or equal to 100",
        ),
        (
            "[chain]",
            "[[partners]]\nsubscriber='a'\n[[partners]]\nsubscriber='A'\n[chain]",
            "",
            "partners: a subscriber stands twice",
        ),
        (
            "[chain]",
            "listen = '0.0.0.0:80'\n[chain]",
            "",
            "public_url: must say where others reach this member, which listens at every address",
        ),
    ],
)
def test_refusals_name_the_key(tmp_path: Path, old: str, new: str, key: str, message: str) -> None:
    assert old in LEAST
    error = refusal(tmp_path, LEAST.replace(old, new, 1))
    assert (error.key, error.message) == (key, message)


def test_all_refusals_at_once(tmp_path: Path) -> None:
    error = refusal(tmp_path, LEAST.replace("deployment", "deploiment"))
    assert str(error).endswith(": deployment: is missing; deploiment: is not known")


def test_a_refusal_shows_no_value(tmp_path: Path) -> None:
    text = FULL.replace("postgresql://member:geheim@db.example/member", "postgres:geheim").replace(
        "poll_ms = 250", "x=1"
    )
    error = refusal(tmp_path, text)
    assert error.key == "database"
    assert "geheim" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_what_is_no_toml_and_what_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path, "subscriber = ").message.startswith("is no TOML: Invalid value (at ")
    missing = tmp_path / "missing.toml"
    with pytest.raises(ConfigError, match=r"missing\.toml: there is no such file$"):
        MemberConfig.load(missing)
