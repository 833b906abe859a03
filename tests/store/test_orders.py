"""Orders from messages: an exchange is answered once, a sale is kept once, and only its members see it."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from settlement.hashing import Hash32, keccak256
from store import orders
from store.database import Database
from store.orders import Exchange, KeptOrder, Message, NewOrder

REQUEST, CHANGED, ANSWER = Message(b"\0 one", "s1"), Message(b"\0 two", "s2"), Message(b"\xff three", "s3")


def word(name: str) -> Hash32:
    """Some 32 bytes."""
    return keccak256(name.encode())


BUYER, SELLER, THIRD = word("buyer"), word("seller"), word("third")


def new(name: str, *members: Hash32, sale: str = "") -> NewOrder:
    """An order by its name."""
    return NewOrder(word(name), word(f"sale {sale or name}"), {"name": name, "nul": "\0"}, f'{{"ü":"{name}"}}', members)


def test_an_exchange_keeps_both_messages_with_their_signatures(database: Database) -> None:
    with database.exclusive() as connection:
        assert orders.exchange(connection, BUYER, SELLER, "t") is None
        orders.keep_request(connection, BUYER, SELLER, "t", REQUEST)
    with database.exclusive() as connection:
        assert orders.exchange(connection, BUYER, SELLER, "t") == Exchange(REQUEST, None)
        orders.keep_response(connection, BUYER, SELLER, "t", ANSWER)
    with database.reading() as connection:
        assert orders.exchange(connection, BUYER, SELLER, "t") == Exchange(REQUEST, ANSWER)
        assert orders.exchange(connection, SELLER, BUYER, "t") is None
        assert orders.exchange(connection, BUYER, SELLER, "T") is None


def test_a_request_is_replaced_until_it_is_answered_and_an_answer_never(database: Database) -> None:
    with database.exclusive() as connection:
        orders.keep_request(connection, BUYER, SELLER, "other", REQUEST)
        orders.keep_request(connection, BUYER, SELLER, "t", REQUEST)
        orders.keep_request(connection, BUYER, SELLER, "t", CHANGED)
        assert orders.exchange(connection, BUYER, SELLER, "t") == Exchange(CHANGED, None)
        orders.keep_response(connection, BUYER, SELLER, "t", ANSWER)
        orders.keep_request(connection, BUYER, SELLER, "t", REQUEST)
        orders.keep_response(connection, BUYER, SELLER, "t", REQUEST)
        assert orders.exchange(connection, BUYER, SELLER, "t") == Exchange(CHANGED, ANSWER)
        assert orders.exchange(connection, BUYER, SELLER, "other") == Exchange(REQUEST, None)


@pytest.mark.parametrize("second", [new("again", BUYER, sale="one"), new("one", BUYER, sale="again")])
def test_a_sale_and_a_trade_id_are_kept_once(database: Database, second: NewOrder) -> None:
    with database.exclusive() as connection:
        assert not orders.is_sold(connection, word("sale one"))
        orders.keep_order(connection, new("one", BUYER))
        assert orders.is_sold(connection, word("sale one"))
        assert not orders.is_sold(connection, word("sale two"))
    with pytest.raises(IntegrityError), database.exclusive() as connection:
        orders.keep_order(connection, second)
    with database.reading() as connection:
        assert [one.trade_id for one in orders.orders_page(connection, [BUYER], 0, 9)] == [word("one")]


def test_pages_are_of_some_members_in_the_order_of_coming(database: Database) -> None:
    with database.exclusive() as connection:
        for name, *members in (("a", BUYER, SELLER), ("b", THIRD, SELLER), ("c", BUYER, BUYER), ("d", THIRD)):
            orders.keep_order(connection, new(name, *members))

    def names(*members: Hash32, after: int = 0, limit: int = 9) -> list[str]:
        with database.reading() as connection:
            return [one.order["name"] for one in orders.orders_page(connection, members, after, limit)]

    assert names(BUYER) == ["a", "c"]
    assert names(BUYER, SELLER) == ["a", "b", "c"]
    assert names(BUYER, SELLER, limit=2) == ["a", "b"]
    assert names(word("stranger")) == []
    assert names() == []
    with database.reading() as connection:
        first = orders.orders_page(connection, [THIRD], 0, 1)[0]
    assert first == KeptOrder(first.seq, word("b"), {"name": "b", "nul": "\0"}, '{"ü":"b"}')
    assert names(THIRD, after=first.seq) == ["d"]
