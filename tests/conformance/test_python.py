"""The vectors, run against the Python reference through its public functions only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data

from scripts import make_vectors
from settlement import (
    allocation,
    canonical_json,
    identity,
    merkle,
    preimages,
    trade,
    typed_data,
)
from settlement.config import Config, code
from settlement.cycle import settle_run
from settlement.errors import FormulaError, ProgramError, SettlementError
from settlement.faults import conflict_of, fault_of
from settlement.figures import Figure, LeafIndex, Marks, SeenLeaf, Settled, SideMarks, Terms, figure_of, settle
from settlement.formula import templates
from settlement.formula.compiler import Binding, compile_formula
from settlement.formula.decompiler import decompile
from settlement.formula.program import Quantities, check_program, evaluate
from settlement.formula.templates import Flow, Template
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf, FlowLeaf, Trade
from tests.conformance.reading import FOLDER, hashes, hex_bytes, integers, read, vectors


def each(subject: str, *keys: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One test for each entry of a list in a subject's vectors."""
    found = vectors(subject)
    for key in keys:
        found = found[key]
    return pytest.mark.parametrize("case", found, ids=[f"{subject}-{n}" for n, _ in enumerate(found)])


@pytest.mark.parametrize("subject", make_vectors.SUBJECTS)
def test_files_are_current(subject: str) -> None:
    assert (FOLDER / f"{subject}.json").read_text(encoding="utf-8") == make_vectors.text_of(subject), (
        "rewrite the vectors with scripts/make_vectors.py, and say in the changelog what changed"
    )


# --- trees ---


@each("merkle", "trees")
def test_trees(case: Any) -> None:
    count, root = int(case["count"]), hex_bytes(case["root"])
    leaf_hashes = [merkle.hash_leaf(index.to_bytes(4, "big")) for index in range(count)]
    assert merkle.root(leaf_hashes) == root
    for proof in case["proofs"]:
        index, path = int(proof["index"]), hashes(proof["path"])
        assert hex_bytes(proof["leaf_hash"]) == leaf_hashes[index]
        assert merkle.path(leaf_hashes, index) == path
        assert merkle.verify(root, count, index, leaf_hashes[index], path)
    for chunk in case["chunks"]:
        number, chunk_root = int(chunk["chunk"]), hex_bytes(chunk["chunk_root"])
        assert merkle.root(leaf_hashes[128 * number : 128 * number + 128]) == chunk_root
        assert merkle.verify_chunk(root, count, 7, number, chunk_root, hashes(chunk["path"]))


def test_refused_proofs() -> None:
    for case in vectors("merkle")["refused"]:
        arguments = (int(case["count"]), int(case["index"]), hex_bytes(case["leaf_hash"]), hashes(case["path"]))
        assert not merkle.verify(hex_bytes(case["root"]), *arguments)
    assert hex_bytes(vectors("merkle")["empty_root"]) == merkle.root([])


# --- ids ---


def test_ids() -> None:
    given = vectors("identity")
    for one in given["members"]:
        assert identity.member_id(one["subscriber_id"]) == hex_bytes(one["id"])
    for one in given["meters"]:
        assert identity.canonical_meter_id(one["meter_id"]) == one["canonical"]
        assert identity.meter_hash(hex_bytes(one["salt"]), one["canonical"]) == hex_bytes(one["hash"])
    for one in given["trades"]:
        platforms = hex_bytes(one["buyer_platform"]), hex_bytes(one["seller_platform"])
        texts = one["transaction_id"], one["order_item_id"]
        assert identity.trade_id(*platforms, *texts, int(one["slot_start"]), int(one["revision"])) == hex_bytes(
            one["id"]
        )
    for one in given["markets"]:
        assert identity.market_id(hex_bytes(one["genesis_hash"]), one["name"]) == hex_bytes(one["id"])
    for one in given["codes"]:
        assert code(one["text"]) == hex_bytes(one["code"])


def test_salts_and_keys() -> None:
    given = vectors("identity")
    for one in given["salts"]:
        salt, cycle, number = hex_bytes(one["salt"]), int(one["cycle"]), int(one["number"])
        assert preimages.allocation_salt(salt, cycle, number) == hex_bytes(one["allocation_salt"])
        assert preimages.flow_salt(salt, cycle, number) == hex_bytes(one["flow_salt"])
    for one in given["keys"]:
        digest, side = hex_bytes(one["trade_digest"]), int(one["side"])
        utility, meter = hex_bytes(one["utility"]), hex_bytes(one["meter"])
        assert preimages.group_key(utility, meter, int(one["slot_start"]), side) == hex_bytes(one["group"])
        assert preimages.side_key(digest, side) == hex_bytes(one["side_key"])
        assert preimages.figure_key(digest, side, int(one["wh"])) == hex_bytes(one["figure"])


# --- signed objects ---


def market_domain() -> typed_data.Domain:
    given = vectors("typed_data")["domain"]
    return typed_data.Domain(int(given["chain_id"]), given["registry"], hex_bytes(given["market_id"]))


def full_message(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """The message as wallets take it, built from the published type string alone."""
    text = next(one["type_string"] for one in vectors("typed_data")["types"] if one["type"] == name)
    kinds: dict[str, list[dict[str, str]]] = {}
    for part in text.split(")")[:-1]:
        kind, members = part.split("(")
        pairs = (member.split(" ") for member in members.split(","))
        kinds[kind] = [{"type": type_, "name": member} for type_, member in pairs]
    domain = market_domain()
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
                {"name": "salt", "type": "bytes32"},
            ],
            **kinds,
        },
        "primaryType": name,
        "domain": {
            "name": "Clearwatt",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": domain.registry,
            "salt": domain.market_id,
        },
        "message": wallet_value(kinds, name, value),
    }


def wallet_value(kinds: dict[str, list[dict[str, str]]], type_: str, value: Any) -> Any:
    if type_.endswith("[]"):
        return [wallet_value(kinds, type_[:-2], one) for one in value]
    if type_ in kinds:
        by_name = {name.replace("_", ""): one for name, one in value.items()}
        return {one["name"]: wallet_value(kinds, one["type"], by_name[one["name"].lower()]) for one in kinds[type_]}
    if type_ in ("bytes32", "bytes"):
        return hex_bytes(value)
    return value if type_ == "address" else int(value)


@each("typed_data", "objects")
def test_signed_objects(case: Any) -> None:
    given = vectors("typed_data")
    domain = market_domain()
    value = read(getattr(trade, case["type"]), case["value"])
    assert domain.separator == hex_bytes(given["domain"]["separator"])
    assert typed_data.struct_hash(value) == hex_bytes(case["struct_hash"])
    digest = domain.digest(value)
    assert digest == hex_bytes(case["digest"])
    signature = read(trade.Signature, case["signature"])
    assert typed_data.sign(hex_bytes(given["private_key"]), digest) == signature
    assert typed_data.recover(digest, signature) == hex_bytes(given["address"])
    # An implementation that is not ours, reading the published type string, comes to the same digest.
    message = encode_typed_data(full_message=full_message(case["type"], case["value"]))
    assert bytes(_hash_eip191_message(message)) == digest


def test_types_are_those_published() -> None:
    for one in vectors("typed_data")["types"]:
        kind = getattr(trade, one["type"])
        assert typed_data.TYPE_STRINGS[kind] == one["type_string"]
        assert typed_data.type_hash(kind) == hex_bytes(one["type_hash"])


def test_config_digests() -> None:
    for one in vectors("config")["configs"]:
        assert read(Config, one["config"]).digest() == hex_bytes(one["digest"])


# --- canonical JSON ---


@each("canonical_json", "documents")
def test_canonical_documents(case: Any) -> None:
    raw = case["canonical"].encode()
    assert canonical_json.dumps(case["document"]) == raw
    assert canonical_json.loads(raw) == case["document"]


@each("canonical_json", "refused")
def test_what_is_not_canonical(case: str) -> None:
    with pytest.raises(SettlementError):
        canonical_json.loads(case.encode())


# --- formulas ---


def quantities_of(case: Any) -> Quantities:
    return read(Quantities, {name: case[name] for name in Quantities.__dataclass_fields__})


@each("programs", "accepted")
def test_programs(case: Any) -> None:
    program = hex_bytes(case["program"])
    check_program(program, int(case["rate_count"]))
    for value in case["values"]:
        assert evaluate(program, quantities_of(value), integers(value["rates"])) == int(value["amount"])


@each("programs", "refused")
def test_refused_programs(case: Any) -> None:
    with pytest.raises(ProgramError) as caught:
        check_program(hex_bytes(case["program"]), int(case["rate_count"]))
    assert caught.value.message == case["reason"]


@each("templates", "templates")
def test_templates(case: Any) -> None:
    flows = tuple(read(Flow, flow) for flow in case["flows"])
    template = Template(case["name"], int(case["version"]), tuple(case["rate_names"]), flows)
    assert template.template_id == hex_bytes(case["id"])
    assert template == templates.SHIPPED_BY_ID[template.template_id]
    assert template.texts() == tuple(flow.text for flow in flows)
    for value in case["cases"]:
        amounts = [evaluate(flow.program, quantities_of(value), integers(value["rates"])) for flow in flows]
        assert amounts == integers(value["amounts"])


@each("templates", "formulas")
def test_formulas(case: Any) -> None:
    program = hex_bytes(case["program"])
    binding = Binding.plain(case["rate_names"])
    assert compile_formula(case["text"], binding) == program
    assert compile_formula(decompile(program, binding), binding) == program


@each("templates", "refused_formulas")
def test_refused_formulas(case: Any) -> None:
    with pytest.raises(FormulaError) as caught:
        compile_formula(case["text"], Binding.plain(("price", "wheeling", "fee#FLAT")))
    assert caught.value.position == int(case["column"])


# --- allocations ---


@each("allocation", "divisions")
def test_divisions(case: Any) -> None:
    divide = allocation.rule(int(case["rule"]))
    assert divide(int(case["meter_wh"]), integers(case["quantities"])) == integers(case["allocated"])


def test_allocation_leaves_faults_and_conflicts() -> None:
    given = vectors("allocation")
    for one in given["leaves"]:
        assert preimages.allocation_leaf(read(AllocationLeaf, one["leaf"])) == hex_bytes(one["hash"])
    against = given["against"]
    for one in given["faults"]:
        leaf = read(AllocationLeaf, one["leaf"])
        placed = PlacedTrade(leaf.trade_digest, read(Trade, against["trade"]), 0, 0, int(against["contracted_wh"]))
        fault = fault_of(leaf, hex_bytes(against["utility"]), placed, int(against["cycle"]), int(one["rule"]))
        assert fault == int(one["fault"])
    for one in given["conflicts"]:
        first, second = read(AllocationLeaf, one["first"]), read(AllocationLeaf, one["second"])
        assert conflict_of(first, second, int(one["rule"])) == int(one["conflict"])
    assert {int(one["fault"]) for one in given["faults"]} == set(range(12))
    assert {int(one["conflict"]) for one in given["conflicts"]} == {0, 13, 14, 15, 16, 17}


# --- figures and rows ---


@each("figures", "figures")
def test_figures(case: Any) -> None:
    side = Side(int(case["side"]))
    placed = read(PlacedTrade, case["placed"])
    leaves = LeafIndex(read(SeenLeaf, one) for one in case["leaves"]).of_side(placed.digest, side)
    marks, terms = SideMarks.from_word(int(case["marks_word"])), read(Terms, case["terms"])
    found = figure_of(placed, side, int(case["run"]), leaves, marks, int(case["void_runs"]), terms)
    assert found == (read(Figure, case["figure"]) if case["figure"] else None)


@each("figures", "results")
def test_results(case: Any) -> None:
    buyer, seller = (read(Figure, case[key]) if case[key] else None for key in ("buyer", "seller"))
    terms = Terms(0, 0, int(case["last_run"]))
    assert settle(int(case["contracted_wh"]), int(case["run"]), buyer, seller, terms) == read(Settled, case["settled"])


@each("rows", "cases")
def test_rows(case: Any) -> None:
    marks = Marks(
        {hex_bytes(one["group"]): int(one["mask"]) for one in case["void_runs"]},
        {hex_bytes(one["side"]): SideMarks.from_word(int(one["word"])) for one in case["marks"]},
    )
    trades = [read(PlacedTrade, one) for one in case["trades"]]
    seen = [read(SeenLeaf, one) for one in case["leaves"]]
    terms = read(Terms, case["terms"])
    result = settle_run(int(case["run"]), trades, seen, marks, templates.SHIPPED_BY_ID, terms)
    found = [(payer, payee, row.amount, row.root, row.leaves) for (payer, payee), row in result.rows.items()]
    assert found == [
        (
            hex_bytes(row["payer"]),
            hex_bytes(row["payee"]),
            int(row["amount"]),
            hex_bytes(row["root"]),
            tuple(read(FlowLeaf, leaf) for leaf in row["leaves"]),
        )
        for row in case["rows"]
    ]
    assert [(*pair, amount) for pair, amount in result.keep.items()] == [
        (hex_bytes(one["payer"]), hex_bytes(one["payee"]), int(one["amount"])) for one in case["keep"]
    ]


def test_trades_in_rows_carry_their_digests() -> None:
    domain = market_domain()
    for case in vectors("rows")["cases"]:
        for one in case["trades"]:
            placed = read(PlacedTrade, one)
            assert domain.digest(placed.trade) == placed.digest
            assert domain.digest(replace(placed.trade, salt=bytes(32))) != placed.digest


def test_sealed_inputs() -> None:
    for step in vectors("rows")["inputs"]:
        accumulator = preimages.EMPTY_ACCUMULATOR
        for act in step["acts"]:
            number, time = int(act["number"]), int(act["block_time"])
            kind = preimages.Act(int(act["kind"]))
            accumulator = preimages.accumulate(accumulator, kind, number, time, hex_bytes(act["what"]))
            assert accumulator == hex_bytes(act["accumulator"])
        assert preimages.sealed_inputs(hex_bytes(step["previous"]), accumulator) == hex_bytes(step["inputs"])
