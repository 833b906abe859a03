"""The cascade: the seller's platform makes a trade of an order, has everybody sign it, and hands it to them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from member.board import Waiting
from member.cosigning import Cosigner, Refusal, SignedTrade, Terms, signature_fault
from member.daemon import Daemon
from member.errors import PeerRefused, PeerSilent
from member.trade_service import in_parts, read_answers
from settlement.documents import document
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from settlement.trade import Trade
from store.records import OpenTrade
from trading.booking import OrderBook
from trading.config import PlatformConfig
from trading.orders import KeptOrder, Lane, make_trade, trade_salt

HANDED: Final = "handed"
"""The state of a trade that all its signers have with all signatures."""


class TradeMaker:
    """Makes and signs the trades of a platform's own sales."""

    def __init__(self, daemon: Daemon[PlatformConfig], book: OrderBook, cosigner: Cosigner, secret: bytes) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._book = book
        self._cosigner = cosigner
        self._secret = secret

    def open_orders(self) -> Mapping[int, Sequence[KeptOrder]]:
        """Orders that can still be committed and are not, by cycle."""
        now = self._market.now()
        found: dict[int, list[KeptOrder]] = defaultdict(list)
        for kept in self._book.all():
            if kept.order.valid_until >= now:
                found[self._market.calendar.cycle_of(kept.order.slot_start)].append(kept)
        for cycle, orders in found.items():
            placed = {one.trade.trade_id for one in self._daemon.desk.placed(cycle)}
            found[cycle] = [one for one in orders if one.order.trade_id() not in placed]
        return found

    def is_sold_here(self, kept: KeptOrder) -> bool:
        """Whether this platform is the seller's, and so the one that asks the others."""
        return kept.order.seller_platform == self._daemon.me.id

    def trade(self, kept: KeptOrder) -> Trade | None:
        """The trade of an order; None before its meters' pseudonyms are known."""
        calendar = self._market.calendar
        pseudonyms = self._book.pseudonyms(calendar.cycle_of(kept.order.slot_start))
        if any(meter not in pseudonyms for meter in kept.meters):
            return None
        salt = trade_salt(self._secret, kept.order.trade_id())
        return make_trade(kept, calendar.slot_length, pseudonyms, salt)

    def signed(self, orders: Iterable[KeptOrder], waiting: list[Waiting]) -> list[OpenTrade]:
        """The trades of orders sold here, signed by this platform and whoever else has; refusals go to `waiting`."""
        trades = [made for kept in orders if self.is_sold_here(kept) and (made := self.trade(kept)) is not None]
        answers = self._cosigner.sign([SignedTrade(one, ()) for one in trades])
        found = []
        for trade, answer in zip(trades, answers, strict=True):
            if isinstance(answer, Refusal):
                waiting.append(waits_for(trade, self._market.calendar.cycle_of(trade.slot_start), answer, ()))
            elif (kept := self._daemon.store.open_trade(self._market.domain.digest(trade))) is not None:
                found.append(kept)
        return found


class CollectingStage:
    """Asks the signers of trades sold here for their signatures, in bulk; registered ones are asked by the gateway."""

    name = "signatures"

    def __init__(self, daemon: Daemon[PlatformConfig], maker: TradeMaker) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._maker = maker
        self._complete: set[Hash32] = set()  # ids of trades that everybody has signed

    def run(self) -> bool:
        """Asks once for every signature that is missing."""
        did = False
        waiting: list[Waiting] = []
        for cycle, orders in sorted(self._maker.open_orders().items()):
            batched = [one for one in orders if one.lane is Lane.BATCHED]
            waiting += self._not_asked(cycle, batched)
            open_ones = [one for one in batched if one.order.trade_id() not in self._complete]
            did |= self._collect(self._maker.signed(open_ones, waiting), waiting)
        self._daemon.waits(self.name, waiting)
        return did

    def _not_asked(self, cycle: int, orders: Iterable[KeptOrder]) -> list[Waiting]:
        """Orders sold elsewhere whose platform has not asked for this one's signature."""
        seen = {one.trade.trade_id for one in self._daemon.store.open_trades(cycle)}
        return [
            Waiting(
                cycle,
                "the seller's platform has not asked for a signature",
                (one.order.seller_platform,),
                trade=one.order.trade_id(),
            )
            for one in orders
            if not self._maker.is_sold_here(one) and one.order.trade_id() not in seen
        ]

    def _collect(self, trades: Sequence[OpenTrade], waiting: list[Waiting]) -> bool:
        lacking: dict[Hash32, list[OpenTrade]] = defaultdict(list)
        for one in trades:
            if not one.missing:
                self._complete.add(one.trade.trade_id)
            for member in one.missing:
                lacking[member].append(one)
        did = False
        for member in sorted(lacking):
            for part in in_parts(lacking[member]):
                try:
                    did |= self._ask(member, part, waiting)
                except (PeerSilent, PeerRefused, SettlementError) as error:
                    reason = f"{len(part)} trades lack a signature: {error}"
                    waiting.append(Waiting(part[0].cycle, reason, (member,)))
        return did

    def _ask(self, member: Hash32, trades: Sequence[OpenTrade], waiting: list[Waiting]) -> bool:
        body = {"trades": [document(SignedTrade(one.trade, one.signatures)) for one in trades]}
        found = self._daemon.peers.post(member, "/v1/trades/sign", body)
        signed: list[OpenTrade] = []
        for trade, answer in zip(trades, read_answers([one.digest for one in trades], found), strict=True):
            if isinstance(answer, Refusal):
                waiting.append(waits_for(trade.trade, trade.cycle, answer, (member,)))
                continue
            fault = signature_fault(trade.digest, (member,), (answer,), self._terms(trade))
            if fault is not None:
                raise SettlementError(fault.field, trade.digest, fault.reason)
            signed.append(replace(trade, signatures=(answer,)))
        self._daemon.store.keep_signed(signed)
        return bool(signed)

    def _terms(self, trade: OpenTrade) -> Terms:
        return self._market.terms(trade.trade.slot_start)


class HandingStage:
    """Hands every signer the trades sold here that all have signed: any of them may put one on the chain by itself."""

    name = "handing over"

    def __init__(self, daemon: Daemon[PlatformConfig], maker: TradeMaker) -> None:
        self._daemon = daemon
        self._maker = maker
        self._handed: set[tuple[Hash32, Hash32]] = set()  # trade and member; after a restart all are told again

    def run(self) -> bool:
        """Hands over what has become complete."""
        did = False
        waiting: list[Waiting] = []
        me = self._daemon.me.id
        for cycle, orders in sorted(self._maker.open_orders().items()):
            ours = {
                one.order.trade_id() for one in orders if one.lane is Lane.BATCHED and self._maker.is_sold_here(one)
            }
            complete = [
                one
                for one in self._daemon.store.open_trades(cycle)
                if one.trade.trade_id in ours and one.state != HANDED and not one.missing
            ]
            for member in sorted({member for one in complete for member in one.trade.signers if member != me}):
                theirs = [
                    one for one in complete if member in one.trade.signers and (one.digest, member) not in self._handed
                ]
                for part in in_parts(theirs):
                    did |= self._hand(cycle, member, part, waiting)
            for one in complete:
                if all((one.digest, member) in self._handed for member in one.trade.signers if member != me):
                    self._daemon.store.keep_trade(one.trade, one.digest, one.cycle, HANDED)
        self._daemon.waits(self.name, waiting)
        return did

    def _hand(self, cycle: int, member: Hash32, trades: Sequence[OpenTrade], waiting: list[Waiting]) -> bool:
        body = {"trades": [document(SignedTrade(one.trade, one.signatures)) for one in trades]}
        try:
            self._daemon.peers.post(member, "/v1/trades/signed", body)
        except (PeerSilent, PeerRefused) as error:
            waiting.append(Waiting(cycle, f"{len(trades)} signed trades are not handed over: {error}", (member,)))
            return False
        self._handed |= {(one.digest, member) for one in trades}
        return True


def waits_for(trade: Trade, cycle: int, refusal: Refusal, members: tuple[Hash32, ...]) -> Waiting:
    """A refused trade, by its id, as something that cannot go on."""
    return Waiting(cycle, f"not signed: {refusal.field}: {refusal.reason}", members, trade=trade.trade_id)
