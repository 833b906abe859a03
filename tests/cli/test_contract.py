"""`clearwatt contract show` against a chain: what it prints of trades and templates, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chain.deployment import FILE
from chain.node import Anvil
from cli import exits
from cli.contract import contract
from settlement.documents import document
from settlement.formula.matching import governing_template, stated_flows
from settlement.formula.templates import FIXED_PRICE_SETTLED, SHIPPED, template_from_text
from settlement.hashing import keccak256
from settlement.units import time_text
from store.records import MemberSignature, PlacedTrade
from tests.member.scene import CYCLE, DAY_START, HOUR, Scene, SignedTrade

OURS = template_from_text(
    "test.flat",
    2,
    ("price", "wheeling#FLAT", "b-rate"),
    (
        (SHIPPED[0].flows[0].payer, SHIPPED[0].flows[0].payee, "0.5 × settled × price + wheeling"),
        (SHIPPED[0].flows[1].payer, SHIPPED[0].flows[1].payee, "−min(wheeling, settled × b-rate, 0)"),
    ),
)
# Energy paid as if it were money: registration takes it, no text says it.
WORDLESS = replace(OURS, name="test.wordless", flows=(replace(OURS.flows[0], program=bytes.fromhex("0002")),))


@dataclass(frozen=True)
class Market:
    """A market with trades on its chain; time stands still."""

    scene: Scene
    registered: PlacedTrade
    batch: tuple[PlacedTrade, ...]
    misfit: PlacedTrade
    flat: PlacedTrade

    def show(self, *arguments: str) -> Result:
        """Runs the command in this market."""
        file = self.scene.folder / FILE
        given = ["show", *arguments, "--market", str(file), "--rpc", self.scene.node.url]
        return CliRunner().invoke(contract, given)

    def fine(self, *arguments: str) -> str:
        """What it prints."""
        result = self.show(*arguments)
        assert result.exit_code == exits.FINE, result.stderr
        return result.stdout

    def refused(self, code: int, *arguments: str) -> str:
        """What it says on stderr when it ends with this exit code."""
        result = self.show(*arguments)
        assert (result.exit_code, result.stdout) == (code, "")
        return result.stderr

    def write(self, name: str, value: Any) -> str:
        """A file with a JSON document, as people write it."""
        file = self.scene.folder / name
        file.write_text(json.dumps(value, indent=1))
        return str(file)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with Scene(tmp_path_factory.mktemp("market")) as scene:
        for template in (OURS, WORDLESS):
            flows = [(int(flow.payer), int(flow.payee), flow.program) for flow in template.flows]
            scene.by_council(
                "RevenueFlows", "register", template.name, template.version, list(template.rate_names), flows
            )
        registered = scene.trade(10, 12_500, item="registered")
        scene.fund("sunmarket", 10**9)
        first = scene.register(registered, {("sunmarket", "rooftrade"): 75_000_000})
        scene.curtail("eastpower", first, 11_000)
        scene.curtail("eastpower", first, 10_000)
        batch = scene.commit([scene.trade(11, item="one"), scene.trade(12, item="two"), scene.trade(13, item="three")])
        misfit = scene.register(signed(scene, scene.trade(14, item="misfit"), template=keccak256(b"no template")))
        rates = (6_000_000, 2_500_000, 1)
        flat = scene.register(signed(scene, scene.trade(15, item="flat"), template=OURS.template_id, rates=rates))
        yield Market(scene, first, batch, misfit, flat)


def signed(scene: Scene, one: SignedTrade, **changes: Any) -> SignedTrade:
    """A trade with fields changed, signed by all it binds."""
    trade = replace(one.trade, **changes)
    by_id = {member.id: member for member in scene.members.values()}
    digest = scene.domain.digest(trade)
    return SignedTrade(
        trade, digest, tuple(MemberSignature.of(who, by_id[who].sign_digest(digest)) for who in trade.signers)
    )


def hexed(digest: bytes) -> str:
    return "0x" + digest.hex()


def test_a_registered_trade_in_words(market: Market) -> None:
    said = market.fine(hexed(market.registered.digest))
    now = time_text(DAY_START - 24 * HOUR)
    assert said.splitlines() == [
        f"trade     {hexed(market.registered.digest)}",
        f"  place       1/0, registered {now}, cycle {CYCLE}",
        "  valid       yes",
        f"  slot        {time_text(DAY_START + 10 * HOUR)} to {time_text(DAY_START + 11 * HOUR)}",
        "  contracted  10 kWh, curtailed from 12.5 kWh",
        "  locked      75.00 INR, sunmarket.example → rooftrade.example",
        "roles",
        "  BUYER           sunmarket.example",
        "  SELLER          rooftrade.example",
        "  GRID_OPERATOR   westpower.example",
        "  BUYER_UTILITY   eastpower.example",
        "  SELLER_UTILITY  eastpower.example",
        "template  p2p.fixed-price.settled.v1",
        "rates",
        "  price           6.00 INR per kWh",
        "  wheeling        0.20 INR per kWh",
        "flows",
        "  BUYER → SELLER",
        "    deliveredQuantity × roles.SELLER.roleInputs.pricePerKWh",
        "    60.00 INR if all of it is delivered",
        "  BUYER → GRID_OPERATOR",
        "    deliveredQuantity × roles.GRID_OPERATOR.roleInputs.wheelingCharges",
        "    2.00 INR if all of it is delivered",
    ]
    assert market.fine("1") == market.fine("1/0") == market.fine(hexed(market.registered.digest).upper()) == said


def test_a_registered_trade_as_json(market: Market) -> None:
    told = json.loads(market.fine("1", "--json"))
    assert told["digest"] == hexed(market.registered.digest)
    assert told["trade"] == document(market.registered.trade)
    assert told["contracted_wh"] == 10_000
    place = told["place"]
    assert (place["number"], place["index"], place["lane"], place["valid"]) == (1, 0, "registered", True)
    assert place["locks"] == [
        {
            "payer": hexed(market.scene.id("sunmarket")),
            "payee": hexed(market.scene.id("rooftrade")),
            "amount": "75000000",
        }
    ]
    assert told["roles"]["SELLER"] == {
        "member": hexed(market.scene.id("rooftrade")),
        "subscriber": "rooftrade.example",
    }
    assert "MARKET_AGENT" not in told["roles"]
    flows = told["template"]["revenueFlows"]["flows"]
    assert [flow["all_delivered"] for flow in flows] == ["60000000", "2000000"]
    assert flows[0]["program"] == "0x00021022"
    # What is printed is what a message would carry: the template is found again by it.
    assert governing_template(stated_flows(told["template"]["revenueFlows"]), SHIPPED) is FIXED_PRICE_SETTLED


def test_flat_rates_and_programs_of_our_own(market: Market) -> None:
    said = market.fine(str(market.flat.number)).splitlines()
    assert "  wheeling        2.50 INR" in said
    assert "  b-rate          0.000001 INR per kWh" in said
    at = said.index("flows")
    assert said[at + 2] == (
        "    0.5 × deliveredQuantity × roles.SELLER.roleInputs.pricePerKWh"
        " + roles.GRID_OPERATOR.roleInputs.wheelingCharges"
    )
    assert said[at + 3] == "    4.00 INR if all of it is delivered"
    assert said[at + 5] == "    −min(roles.GRID_OPERATOR.roleInputs.wheelingCharges, deliveredQuantity × b-rate, 0)"


def test_a_trade_under_a_template_that_nobody_registered(market: Market) -> None:
    said = market.fine(hexed(market.misfit.digest))
    assert "  valid       no: unknown template" in said.splitlines()
    assert f"template  {hexed(keccak256(b'no template'))}" in said.splitlines()
    assert "without it nobody can say what this trade pays" in said
    told = json.loads(market.fine(hexed(market.misfit.digest), "--json"))
    assert told["template"] is None
    assert (told["place"]["valid"], told["place"]["fault"]) == (False, "unknown template")


# --- batched trades ---


def test_of_a_batched_trade_the_chain_has_only_the_hash(market: Market) -> None:
    said = market.refused(exits.MISSING, hexed(market.batch[1].digest))
    assert "no registered trade" in said
    assert "Of a batched trade only the hash stands there" in said
    assert "--trade FILE" in said
    said = market.refused(exits.MISSING, "2/1")
    assert "commitment 2 is a batch of 3, of which the chain has the root alone, 0x" in said
    assert "--trade FILE" in said


def test_a_batched_trade_with_its_place_is_judged(market: Market) -> None:
    second = market.batch[1]
    file = market.write("placed.json", document(second))
    said = market.fine("--trade", file)
    assert f"  place       2/1, batched {time_text(DAY_START - 24 * HOUR)}, cycle {CYCLE}" in said
    assert "  valid       yes" in said
    assert "    3.00 INR if all of it is delivered" in said
    assert market.fine("2/1", "--trade", file) == market.fine(hexed(second.digest), "--trade", file) == said


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"index": 0}, "trade not committed"),
        ({"path": ()}, "trade not committed"),
        ({"signatures": ()}, "signature missing"),
        ({"number": 1}, "trade not committed"),
    ],
)
def test_a_place_that_is_not_the_trades_is_told(market: Market, change: Mapping[str, Any], fault: str) -> None:
    file = market.write("changed.json", document(replace(market.batch[1], **change)))
    assert f"  valid       no: {fault}" in market.fine("--trade", file).splitlines()


def test_a_forged_signature_is_told(market: Market) -> None:
    first, *others = market.batch[1].signatures
    forged = MemberSignature.of(first.member, market.scene.members["westpower"].sign_digest(market.batch[1].digest))
    file = market.write("forged.json", document(replace(market.batch[1], signatures=(forged, *others))))
    assert "  valid       no: not the signer's key" in market.fine("--trade", file).splitlines()


def test_a_trade_without_a_place(market: Market) -> None:
    file = market.write("trade.json", document(market.batch[1].trade))
    said = market.fine("--trade", file)
    assert "  place       not known: it is not registered, and the file has no place in a batch" in said.splitlines()
    assert "  valid" not in said
    assert "deliveredQuantity × roles.SELLER.roleInputs.pricePerKWh" in said
    told = json.loads(market.fine("--trade", file, "--json"))
    assert told["place"] is None
    # As a gateway answers it, with much else beside.
    gateway = market.write(
        "gateway.json", {"trade": document(market.batch[1].trade), "state": "COMMITTED", "number": 2}
    )
    assert market.fine("--trade", gateway) == said


def test_a_registered_trade_in_a_file_is_found_on_the_chain(market: Market) -> None:
    file = market.write("registered.json", {"trade": document(market.registered.trade)})
    assert market.fine("--trade", file) == market.fine("1")
    placed = market.write("placed.json", document(market.registered))
    assert market.fine("--trade", placed) == market.fine("1")


# --- templates ---


def test_a_template_by_name_and_by_id(market: Market) -> None:
    by_name = market.fine("p2p.inter-utility.v1")
    inter = SHIPPED[2]
    assert by_name.splitlines() == [
        "template  p2p.inter-utility.v1",
        f"  id          {hexed(inter.template_id)}",
        f"  registered  {time_text(DAY_START - 24 * HOUR)}",
        "rates",
        "  price           INR per kWh",
        "  buyerWheeling   INR per kWh",
        "  sellerWheeling  INR per kWh",
        "  penalty         INR per kWh",
        "flows",
        "  BUYER → SELLER",
        "    deliveredQuantity × roles.SELLER.roleInputs.pricePerKWh",
        "  BUYER → BUYER_UTILITY",
        "    deliveredQuantity × buyerWheeling",
        "  SELLER → SELLER_UTILITY",
        "    deliveredQuantity × sellerWheeling"
        " + max(0, roles.BUYER.roleInputs.contractedQuantity − deliveredQuantity) × penalty",
    ]
    assert market.fine(hexed(inter.template_id)) == by_name


def test_all_templates(market: Market) -> None:
    said = market.fine()
    titles = [line.split()[1] for line in said.splitlines() if line.startswith("template")]
    assert titles == [*(one.title for one in SHIPPED), OURS.title, WORDLESS.title]
    told = json.loads(market.fine("--json"))["templates"]
    assert [one["id"] for one in told] == [hexed(one.template_id) for one in (*SHIPPED, OURS, WORDLESS)]
    for one, template in zip(told, SHIPPED, strict=False):
        assert governing_template(stated_flows(one["revenueFlows"]), SHIPPED) is template


def test_a_program_without_text_is_shown_as_it_is(market: Market) -> None:
    assert "    no formula text: 0x0002" in market.fine(WORDLESS.title).splitlines()
    (told,) = json.loads(market.fine(WORDLESS.title, "--json"))["templates"]
    assert told["revenueFlows"]["flows"][0]["formula"] is None


# --- refusals ---


def test_what_is_not_there(market: Market) -> None:
    assert "the chain has no commitment 99; there are 4, from 1" in market.refused(exits.MISSING, "99")
    assert "no commitment 0" in market.refused(exits.MISSING, "0")
    assert "commitment 1 is one registered trade, at index 0" in market.refused(exits.MISSING, "1/5")
    said = market.refused(exits.MISSING, "p2p.fixed-price.settled.v2")
    assert (
        "no template 'p2p.fixed-price.settled.v2' is registered; there are: p2p.fixed-price.contracted.v1, p2p" in said
    )
    assert "no template '0x12' is registered" in market.refused(exits.MISSING, "0x12")
    assert "no template and no registered trade 0x00" in market.refused(exits.MISSING, "0x" + "00" * 32)


def test_files_that_are_no_trades(market: Market, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.json")
    assert f"there is no file {missing}" in market.refused(exits.MISSING, "--trade", missing)
    (tmp_path / "text.json").write_text("trade")
    assert "is no JSON" in market.refused(exits.BAD_INPUT, "--trade", str(tmp_path / "text.json"))
    (tmp_path / "raw.json").write_bytes(b"\xff\xfe\x00")
    assert "is no JSON" in market.refused(exits.BAD_INPUT, "--trade", str(tmp_path / "raw.json"))
    assert "$: must be an object" in market.refused(exits.BAD_INPUT, "--trade", market.write("list.json", []))
    broken: dict[str, Any] = document(market.registered.trade)
    broken["slot_start"] = "noon"
    said = market.refused(exits.BAD_INPUT, "--trade", market.write("broken.json", broken))
    assert "slot_start: must be a non-negative integer" in said
    broken = document(market.batch[1])
    broken["path"] = ["0x12"]
    said = market.refused(exits.BAD_INPUT, "--trade", market.write("broken.json", broken))
    assert "path[0]: must be 0x and lower-case hex digits of 32 bytes" in said


def test_a_file_of_another_trade(market: Market) -> None:
    file = market.write("placed.json", document(market.batch[1]))
    digest = hexed(market.batch[1].digest)
    for what in (hexed(market.batch[0].digest), "2/0", "1", "p2p.market.v1"):
        said = market.refused(exits.BAD_INPUT, what, "--trade", file)
        assert f"is trade {digest}, place 2/1, not {what}" in said
    bare = market.write("trade.json", document(market.batch[1].trade))
    assert ", without a place, not 2/1" in market.refused(exits.BAD_INPUT, "2/1", "--trade", bare)
    other = market.write("other.json", document(replace(market.batch[1], digest=bytes(32))))
    assert f"digest: the trade's is {digest} in this market" in market.refused(exits.BAD_INPUT, "--trade", other)
    nowhere = market.write("nowhere.json", document(replace(market.batch[1], number=77)))
    assert "the chain has no commitment 77" in market.refused(exits.MISSING, "--trade", nowhere)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(contract, ["show", *arguments])


def test_markets_and_nodes_that_do_not_fit(market: Market, tmp_path: Path) -> None:
    file = str(market.scene.folder / FILE)
    renamed = run("--market", str(tmp_path / "record.json"), "--rpc", market.scene.node.url)
    assert renamed.exit_code == exits.USAGE
    assert f"a market's record is called {FILE}" in renamed.stderr
    missing = run("--market", str(tmp_path / FILE), "--rpc", market.scene.node.url)
    assert missing.exit_code == exits.MISSING
    (tmp_path / FILE).write_text("{}")
    unfit = run("--market", str(tmp_path / FILE), "--rpc", market.scene.node.url)
    assert unfit.exit_code == exits.BAD_INPUT
    assert "the keys must be" in unfit.stderr
    nobody = run("--market", file, "--rpc", "http://127.0.0.1:1")
    assert nobody.exit_code == exits.MISSING
    assert "no answer from the node at 127.0.0.1:1" in nobody.stderr
    strange = run("--market", file, "--rpc", "ftp://127.0.0.1")
    assert strange.exit_code == exits.USAGE
    assert "a node's address must be http://host:port" in strange.stderr
    with Anvil(market.scene.now + 1) as other:
        elsewhere = run("--market", file, "--rpc", other.url)
        assert elsewhere.exit_code == exits.CHECK_FALSE
        assert "the record says" in elsewhere.stderr


def test_members_without_a_name_are_shown_by_their_id(market: Market, tmp_path: Path) -> None:
    record = market.scene.record
    replace(record, members={}).save(tmp_path)
    result = run("1", "--market", str(tmp_path / FILE), "--rpc", market.scene.node.url)
    assert f"  BUYER           {hexed(market.scene.id('sunmarket'))}" in result.stdout.splitlines()
