"""`[beckn]` in a gateway's configuration: what it says, what it may not, and that `clearwatt serve` goes by it."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from api.beckn import BecknSettings
from cli.gateway_config import GatewayConfig
from member.errors import ConfigError
from settlement.formula.templates import Role
from tests.api.serving_process import ServingProcess
from tests.member.scene import Scene

GATEWAY = """
deployment = "market"
database = "sqlite:///gateway.db"
[chain]
rpc_url = "http://127.0.0.1:1"
[keys]
relayer = "relayer.key"
"""
BECKN = """
[beckn]
zone = "Asia/Kolkata"
template = "p2p.fixed-price.settled.v1"
grid_operator = "seller_utility"
[beckn.rates]
wheeling = "0.025"
"entry#FLAT" = "2.5"
[beckn.utilities]
"NORTH" = "EastPower.example"
"""


def load(folder: Path, text: str) -> GatewayConfig:
    file = folder / "gateway.toml"
    file.write_text(GATEWAY + text)
    return GatewayConfig.load(file)


def test_settings(tmp_path: Path) -> None:
    found = load(tmp_path, BECKN).beckn
    assert found is not None
    assert found.settings == BecknSettings(
        zone=ZoneInfo("Asia/Kolkata"),
        template="p2p.fixed-price.settled.v1",
        rates={"wheeling": 25_000, "entry#FLAT": 2_500_000},
        grid_operator=Role.SELLER_UTILITY,
        utilities={"NORTH": "eastpower.example"},
    )
    assert load(tmp_path, "").beckn is None


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ('"0.025"', '"0.0000001"', "beckn: rates.wheeling: too many decimals"),
        ('"0.025"', "0.025", "beckn.rates.wheeling: must be a valid string"),
        ('"seller_utility"', '"seller"', "beckn.grid_operator: must be 'buyer_utility' or 'seller_utility'"),
        ("Asia/Kolkata", "Asia/Nowhere", "beckn.zone: there is no such time zone"),
        ("EastPower.example", "East Power", "beckn.utilities.NORTH: must be printable ASCII without spaces"),
        ("template", "templates", "beckn.templates: is not known"),
    ],
)
def test_what_is_refused(tmp_path: Path, before: str, after: str, refused: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, BECKN.replace(before, after))
    assert refused in str(caught.value)


def test_the_command_takes_messages_where_it_is_told_to(tmp_path: Path) -> None:
    with Scene(tmp_path / "market") as scene:
        told = ServingProcess(scene, tmp_path / "told")
        told.config.write_text(told.config.read_text() + BECKN)
        with told:
            found = told.http.post("/beckn/confirm", content=b"{}")
            assert (found.status_code, found.json()["error"]["code"]) == (401, "AUT_SIGNATURE_MISSING")
        with ServingProcess(scene, tmp_path / "untold") as untold:
            found = untold.http.post("/beckn/confirm", content=b"{}")
            assert (found.status_code, found.json()["code"]) == (404, "not-found")
