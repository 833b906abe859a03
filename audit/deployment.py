"""`deployment.json` against the chain: the contracts, the market, its first members and templates are what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from audit.evidence import Context
from audit.findings import Check, Report
from chain.artifacts import Artifact
from chain.deployment import FILE, DeploymentRecord
from chain.evidence import struct, template_of
from settlement.config import Config
from settlement.errors import SettlementError
from settlement.identity import market_id, member_id


def check_deployment(
    report: Report, context: Context, record: DeploymentRecord, load: Callable[[str], Artifact]
) -> bool:
    """Checks the record; whether the contracts are the recorded ones, without which nothing else can be checked.

    `load` gives the contracts as this program knows them.
    """
    before = len(report.findings)
    chain = context.chain
    _equal(report, "chain_id", chain.chain_id, record.chain_id)
    _equal(report, "genesis_hash", chain.genesis_hash, record.genesis_hash)
    _equal(report, "market_id", market_id(chain.genesis_hash, record.market), record.market_id)
    codes = {name: chain.code(made.address) for name, made in record.contracts.items()}
    for name, made in record.contracts.items():
        digest = hashlib.sha256(codes[name]).hexdigest()
        _equal(report, f"contracts.{name}.runtime_sha256", digest, made.runtime_sha256)
    if len(report.findings) > before:
        return False
    _equal(report, "market_id", chain.view("MemberRegistry", "market_id"), record.market_id)
    separator = chain.view("MemberRegistry", "domain_separator")
    _equal(report, "contracts.MemberRegistry.address", separator, context.domain.separator)
    _check_code(report, record, codes, load)
    _check_block(report, context, record)
    _check_config(report, context, record)
    _check_members(report, context, record)
    _check_templates(report, context, record)
    return True


def _check_code(
    report: Report, record: DeploymentRecord, codes: dict[str, bytes], load: Callable[[str], Artifact]
) -> None:
    for name, code in codes.items():
        artifact = load(name)
        # Immutables are appended to what the compiler made.
        if not code.startswith(artifact.runtime):
            report.note(FILE, 0, f"the code of {name} is not that of the sources here")
            continue
        _equal(report, "evm", artifact.evm, record.evm)
        _equal(report, "vyper", artifact.vyper, record.vyper)


def _check_block(report: Report, context: Context, record: DeploymentRecord) -> None:
    """At `block` every contract was there, one block earlier not yet."""
    addresses = [made.address for made in record.contracts.values()]
    there = all(context.chain.code(address, record.block) for address in addresses)
    sooner = record.block > 0 and all(context.chain.code(address, record.block - 1) for address in addresses)
    if not there or sooner:
        report.find(Check.DEPLOYMENT, FILE, 0, "block", "the block of the last deployment", record.block)


def _check_config(report: Report, context: Context, record: DeploymentRecord) -> None:
    """The recorded parameters are the market's first; every version has the digest that the registry gave it."""
    for event in context.evidence.of("ConfigSet"):
        digest = struct(Config, event["config"]).digest()
        if not digest == event["digest"] == context.chain.view("MemberRegistry", "config_digest", event["version"]):
            report.find(Check.DEPLOYMENT, "chain", 0, f"config version {event['version']}", digest, event["digest"])
    versions = context.evidence.configs
    if not versions:
        report.find(Check.DEPLOYMENT, "chain", 0, "ConfigSet", "a config version", "none")
        return
    first = versions[0][1]
    _equal(report, "config_digest", first.digest(), record.config_digest)
    for field in fields(Config):
        expected, found = _plain(getattr(first, field.name)), record.config.get(field.name)
        _equal(report, f"config.{field.name}", expected, found if isinstance(found, list) else str(found))


def _check_members(report: Report, context: Context, record: DeploymentRecord) -> None:
    admitted = {event["member"]: event["roles"] for event in reversed(list(context.evidence.of("MemberAdmitted")))}
    for subscriber, member in record.members.items():
        try:
            identity = member_id(subscriber)
        except SettlementError as error:
            report.find(Check.DEPLOYMENT, FILE, 0, f"members.{subscriber}", "a subscriber id", error.message)
            continue
        _equal(report, f"members.{subscriber}.id", identity, member["id"])
        _equal(report, f"members.{subscriber}.roles", admitted.get(identity), member["roles"])


def _check_templates(report: Report, context: Context, record: DeploymentRecord) -> None:
    registered = {template_of(event).title: event for event in context.evidence.of("TemplateRegistered")}
    for title, event in registered.items():
        if template_of(event).template_id != event["template"]:
            report.find(Check.DEPLOYMENT, "chain", 0, title, template_of(event).template_id, event["template"])
    for title, identity in record.templates.items():
        found = registered.get(title)
        _equal(report, f"templates.{title}", found["template"] if found else "a registered template", identity)


def _plain(value: Any) -> Any:
    """A parameter as JSON has it, numbers as text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return [item if isinstance(item, int) else _plain(item) for item in value]
    return str(value)


def _equal(report: Report, name: str, expected: object, found: object) -> None:
    if expected != found:
        report.find(Check.DEPLOYMENT, FILE, 0, name, expected, found)
