"""Every table"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Every table"""
    op.create_table(
        "blocks",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("parent", sa.LargeBinary(length=32), nullable=False),
        sa.Column("time", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_blocks")),
        sa.UniqueConstraint("hash", name=op.f("uq_blocks_hash")),
    )
    op.create_table(
        "desk_allocations",
        sa.Column("cycle", NUMBER, autoincrement=False, nullable=False),
        sa.Column("run", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("allocation", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("cycle", "run", "attempt", name=op.f("pk_desk_allocations")),
    )
    op.create_table(
        "desk_facts",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_desk_facts")),
    )
    op.create_table(
        "desk_leaves",
        sa.Column("cycle", NUMBER, autoincrement=False, nullable=False),
        sa.Column("run", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("utility", sa.LargeBinary(length=32), nullable=False),
        sa.Column("position", NUMBER, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("served", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("cycle", "run", "utility", "position", name=op.f("pk_desk_leaves")),
    )
    op.create_table(
        "desk_meters",
        sa.Column("cycle", NUMBER, autoincrement=False, nullable=False),
        sa.Column("utility", sa.LargeBinary(length=32), nullable=False),
        sa.Column("meter_id", sa.String(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("meter", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("cycle", "utility", "meter_id", name=op.f("pk_desk_meters")),
    )
    op.create_table(
        "desk_places",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("index", NUMBER, autoincrement=False, nullable=False),
        sa.Column("cycle", NUMBER, nullable=False),
        sa.Column("placed", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("number", "index", name=op.f("pk_desk_places")),
    )
    with op.batch_alter_table("desk_places", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_desk_places_cycle"), ["cycle"], unique=False)

    op.create_table(
        "desk_rows",
        sa.Column("cycle", NUMBER, autoincrement=False, nullable=False),
        sa.Column("run", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("payer", sa.LargeBinary(length=32), nullable=False),
        sa.Column("payee", sa.LargeBinary(length=32), nullable=False),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("version", NUMBER, nullable=False),
        sa.Column("kept", NUMBER, nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("cycle", "run", "payer", "payee", "way", "digest", name=op.f("pk_desk_rows")),
    )
    op.create_table(
        "desk_trades",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("trade_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("cycle", NUMBER, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("trade", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_desk_trades")),
    )
    with op.batch_alter_table("desk_trades", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_desk_trades_cycle"), ["cycle"], unique=False)
        batch_op.create_index(batch_op.f("ix_desk_trades_trade_id"), ["trade_id"], unique=False)

    op.create_table(
        "followed_chain",
        sa.Column("market", sa.LargeBinary(length=32), nullable=False),
        sa.Column("chain_id", NUMBER, nullable=False),
        sa.Column("genesis", sa.LargeBinary(length=32), nullable=False),
        sa.Column("final", NUMBER, nullable=False),
        sa.Column("rewinds", NUMBER, nullable=False),
        sa.Column("pruned", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("market", name=op.f("pk_followed_chain")),
    )
    op.create_table(
        "gateway_audiences",
        sa.Column("relay", NUMBER, autoincrement=False, nullable=False),
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("relay", "member", name=op.f("pk_gateway_audiences")),
    )
    op.create_table(
        "gateway_batches",
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("cycle", NUMBER, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("batch", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_gateway_batches")),
        sa.UniqueConstraint("digest", name=op.f("uq_gateway_batches_digest")),
    )
    with op.batch_alter_table("gateway_batches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gateway_batches_cycle"), ["cycle"], unique=False)
        batch_op.create_index(batch_op.f("ix_gateway_batches_root"), ["root"], unique=False)

    op.create_table(
        "gateway_exchanges",
        sa.Column("buyer_platform", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seller_platform", sa.LargeBinary(length=32), nullable=False),
        sa.Column("transaction", sa.String(length=200), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("request_signature", sa.Text(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("response_signature", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("buyer_platform", "seller_platform", "transaction", name=op.f("pk_gateway_exchanges")),
    )
    op.create_table(
        "gateway_feed",
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("block_number", NUMBER, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("log_index", sa.Integer(), nullable=False),
        sa.Column("undoes", NUMBER, nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_gateway_feed")),
        sa.UniqueConstraint("undoes", name=op.f("uq_gateway_feed_undoes")),
    )
    op.create_table(
        "gateway_order_parties",
        sa.Column("trade_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("trade_id", "member", name=op.f("pk_gateway_order_parties")),
    )
    with op.batch_alter_table("gateway_order_parties", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gateway_order_parties_member"), ["member"], unique=False)

    op.create_table(
        "gateway_orders",
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("trade_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sale", sa.LargeBinary(length=32), nullable=False),
        sa.Column("order", sa.JSON(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_gateway_orders")),
        sa.UniqueConstraint("sale", name=op.f("uq_gateway_orders_sale")),
        sa.UniqueConstraint("trade_id", name=op.f("uq_gateway_orders_trade_id")),
    )
    op.create_table(
        "gateway_places",
        sa.Column("batch", sa.LargeBinary(length=32), nullable=False),
        sa.Column("index", NUMBER, autoincrement=False, nullable=False),
        sa.Column("trade", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("batch", "index", name=op.f("pk_gateway_places")),
    )
    with op.batch_alter_table("gateway_places", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gateway_places_trade"), ["trade"], unique=False)

    op.create_table(
        "gateway_relays",
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("call", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_gateway_relays")),
        sa.UniqueConstraint("id", name=op.f("uq_gateway_relays_id")),
    )
    with op.batch_alter_table("gateway_relays", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gateway_relays_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_gateway_relays_subject"), ["subject"], unique=False)

    op.create_table(
        "gateway_requests",
        sa.Column("caller", sa.String(length=80), nullable=False),
        sa.Column("route", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("answered_at", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("caller", "route", "key", name=op.f("pk_gateway_requests")),
    )
    with op.batch_alter_table("gateway_requests", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gateway_requests_answered_at"), ["answered_at"], unique=False)

    op.create_table(
        "gateway_signatures",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("v", sa.Integer(), nullable=True),
        sa.Column("r", sa.LargeBinary(length=32), nullable=True),
        sa.Column("s", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("digest", "member", name=op.f("pk_gateway_signatures")),
    )
    with op.batch_alter_table("gateway_signatures", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gateway_signatures_member"), ["member"], unique=False)

    op.create_table(
        "gateway_trades",
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("locks_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("cycle", NUMBER, nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("trade", sa.JSON(), nullable=False),
        sa.Column("locks", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_gateway_trades")),
        sa.UniqueConstraint("digest", name=op.f("uq_gateway_trades_digest")),
        sa.UniqueConstraint("locks_digest", name=op.f("uq_gateway_trades_locks_digest")),
    )
    with op.batch_alter_table("gateway_trades", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_gateway_trades_cycle"), ["cycle"], unique=False)

    op.create_table(
        "signers",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("chain_id", NUMBER, nullable=False),
        sa.Column("address", sa.String(length=42), nullable=False),
        sa.Column("genesis", sa.LargeBinary(length=32), nullable=False),
        sa.Column("next_nonce", NUMBER, nullable=False),
        sa.Column("suspended", sa.Text(), nullable=True),
        sa.Column("conflict", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signers")),
        sa.UniqueConstraint("chain_id", "address", name=op.f("uq_signers_chain_id_address")),
    )
    op.create_table(
        "desk_signatures",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("member", sa.LargeBinary(length=32), nullable=False),
        sa.Column("v", sa.Integer(), nullable=False),
        sa.Column("r", sa.LargeBinary(length=32), nullable=False),
        sa.Column("s", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["desk_trades.digest"], name=op.f("fk_desk_signatures_digest_desk_trades")),
        sa.PrimaryKeyConstraint("digest", "member", name=op.f("pk_desk_signatures")),
    )
    op.create_table(
        "logs",
        sa.Column("block", NUMBER, nullable=False),
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("transaction", sa.LargeBinary(length=32), nullable=False),
        sa.Column("contract", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("cycle", NUMBER, nullable=True),
        sa.Column("row_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("topics", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["block"], ["blocks.number"], name=op.f("fk_logs_block_blocks"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("block", "index", name=op.f("pk_logs")),
    )
    with op.batch_alter_table("logs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_logs_contract_block"), ["contract", "block"], unique=False)
        batch_op.create_index(batch_op.f("ix_logs_cycle_block"), ["cycle", "block"], unique=False)
        batch_op.create_index(batch_op.f("ix_logs_name_cycle"), ["name", "cycle"], unique=False)
        batch_op.create_index(batch_op.f("ix_logs_row_digest"), ["row_digest"], unique=False)

    op.create_table(
        "transactions",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("signer", NUMBER, nullable=False),
        sa.Column("intent", sa.String(length=200), nullable=False),
        sa.Column("contract", sa.String(length=64), nullable=False),
        sa.Column("function", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=42), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("gas", NUMBER, nullable=False),
        sa.Column("nonce", NUMBER, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("block_number", NUMBER, nullable=True),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["signer"], ["signers.id"], name=op.f("fk_transactions_signer_signers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactions")),
        sa.UniqueConstraint("signer", "intent", name=op.f("uq_transactions_signer_intent")),
        sa.UniqueConstraint("signer", "nonce", name=op.f("uq_transactions_signer_nonce")),
    )
    with op.batch_alter_table("transactions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_transactions_signer_state"), ["signer", "state"], unique=False)

    op.create_table(
        "transaction_actions",
        sa.Column("transaction", NUMBER, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("times", NUMBER, nullable=False),
        sa.Column("first", NUMBER, nullable=False),
        sa.Column("last", NUMBER, nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["transaction"], ["transactions.id"], name=op.f("fk_transaction_actions_transaction_transactions")
        ),
        sa.PrimaryKeyConstraint("transaction", "name", name=op.f("pk_transaction_actions")),
    )
    op.create_table(
        "transaction_attempts",
        sa.Column("transaction", NUMBER, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("cancels", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction"], ["transactions.id"], name=op.f("fk_transaction_attempts_transaction_transactions")
        ),
        sa.PrimaryKeyConstraint("transaction", "number", name=op.f("pk_transaction_attempts")),
        sa.UniqueConstraint("hash", name=op.f("uq_transaction_attempts_hash")),
    )


def downgrade() -> None:
    """Back to the tables before."""
    op.drop_table("transaction_attempts")
    op.drop_table("transaction_actions")
    with op.batch_alter_table("transactions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_transactions_signer_state"))

    op.drop_table("transactions")
    with op.batch_alter_table("logs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_logs_row_digest"))
        batch_op.drop_index(batch_op.f("ix_logs_name_cycle"))
        batch_op.drop_index(batch_op.f("ix_logs_cycle_block"))
        batch_op.drop_index(batch_op.f("ix_logs_contract_block"))

    op.drop_table("logs")
    op.drop_table("desk_signatures")
    op.drop_table("signers")
    with op.batch_alter_table("gateway_trades", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gateway_trades_cycle"))

    op.drop_table("gateway_trades")
    with op.batch_alter_table("gateway_signatures", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gateway_signatures_member"))

    op.drop_table("gateway_signatures")
    with op.batch_alter_table("gateway_requests", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gateway_requests_answered_at"))

    op.drop_table("gateway_requests")
    with op.batch_alter_table("gateway_relays", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gateway_relays_subject"))
        batch_op.drop_index(batch_op.f("ix_gateway_relays_state"))

    op.drop_table("gateway_relays")
    with op.batch_alter_table("gateway_places", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gateway_places_trade"))

    op.drop_table("gateway_places")
    op.drop_table("gateway_orders")
    with op.batch_alter_table("gateway_order_parties", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gateway_order_parties_member"))

    op.drop_table("gateway_order_parties")
    op.drop_table("gateway_feed")
    op.drop_table("gateway_exchanges")
    with op.batch_alter_table("gateway_batches", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_gateway_batches_root"))
        batch_op.drop_index(batch_op.f("ix_gateway_batches_cycle"))

    op.drop_table("gateway_batches")
    op.drop_table("gateway_audiences")
    op.drop_table("followed_chain")
    with op.batch_alter_table("desk_trades", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_desk_trades_trade_id"))
        batch_op.drop_index(batch_op.f("ix_desk_trades_cycle"))

    op.drop_table("desk_trades")
    op.drop_table("desk_rows")
    with op.batch_alter_table("desk_places", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_desk_places_cycle"))

    op.drop_table("desk_places")
    op.drop_table("desk_meters")
    op.drop_table("desk_leaves")
    op.drop_table("desk_facts")
    op.drop_table("desk_allocations")
    op.drop_table("blocks")
