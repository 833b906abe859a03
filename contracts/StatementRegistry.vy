# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title StatementRegistry: the digests of statements that members have declared final
@notice One digest per member and month, or per pair and month with both signatures. A finalised month never changes:
        what is corrected later stands in the month in which it settles. With a subject of its own the same serves
        books without any trading, such as a campus that shares its generation: the hash alone is on chain.
@dev It does not know what a digest is of: verification recomputes the document and compares.
@custom:kill Nothing stops it; it moves nothing.
"""

from .interfaces import IMemberRegistry
from .interfaces import IStatementRegistry
from .interfaces import Types

implements: IStatementRegistry

from .modules import hot_keys
from .modules import roles
from .modules import typed_data

REGISTRY: immutable(IMemberRegistry)
DOMAIN_SEPARATOR: immutable(bytes32)

# The final digest: member, counterparty, subject, period.
digests: HashMap[bytes32, HashMap[bytes32, HashMap[bytes32, HashMap[uint32, bytes32]]]]


@deploy
def __init__(registry: address):
    """
    @notice Binds the contract to its market.
    @param registry The market's MemberRegistry, which must be deployed already.
    """
    REGISTRY = IMemberRegistry(registry)
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()


# --- anyone (views) ---


@view
@external
@reentrant
def statement(member: bytes32, counterparty: bytes32, subject: bytes32, period: uint32) -> bytes32:
    """
    @notice The digest that was declared final.
    @param member Whose statement; of a pair the smaller id.
    @param counterparty The other of a pair; zero for a member's own.
    @param subject What the books are about; zero for the market itself.
    @param period The month as YYYYMM.
    @return The digest; zero while there is none.
    """
    return self.digests[member][counterparty][subject][period]


# --- members (signed, relayed by anyone) ---


@external
def finalise(
    statement: Types.Statement,
    signatures: DynArray[Types.Signature, 2],
    wallet_signatures: DynArray[Bytes[1024], 2],
):
    """
    @notice Declares a statement final, for good.
    @dev Asks members that are contracts for their signature, by static calls with bounded gas.
    @param statement What is signed; of a pair the smaller id is `member`.
    @param signatures By hot keys: the member's, then the counterparty's if there is one; v = 0 of a contract.
    @param wallet_signatures The contracts' signatures (ERC-1271), in the same order.
    """
    assert statement.digest != empty(bytes32), "StatementRegistry: no digest"
    month: uint32 = statement.period % 100
    assert month >= 1 and month <= 12, "StatementRegistry: no month"
    kept: bytes32 = self.digests[statement.member][statement.counterparty][statement.subject][statement.period]
    assert kept == empty(bytes32), "StatementRegistry: already final"
    parties: DynArray[bytes32, 2] = [statement.member]
    if statement.counterparty != empty(bytes32):
        ordered: bool = convert(statement.member, uint256) < convert(statement.counterparty, uint256)
        assert ordered, "StatementRegistry: pair not in order"
        parties.append(statement.counterparty)
    assert len(signatures) == len(parties), "StatementRegistry: number of signatures"
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._statement(statement))
    wallets: uint256 = 0
    for i: uint256 in range(len(parties), bound=2):
        standing: uint256 = staticcall REGISTRY.standing(parties[i])
        own_wallet: DynArray[Bytes[1024], 1] = []
        if roles._is_contract(standing):
            assert wallets < len(wallet_signatures), "StatementRegistry: wallet signature missing"
            own_wallet.append(wallet_signatures[wallets])
            wallets += 1
        accepted: bool = hot_keys._is_signed(standing, digest, signatures[i], own_wallet)
        assert accepted, "StatementRegistry: wrong signature"
    assert wallets == len(wallet_signatures), "StatementRegistry: wallet signatures left over"
    self.digests[statement.member][statement.counterparty][statement.subject][statement.period] = statement.digest
    log IStatementRegistry.StatementFinalised(
        member=statement.member,
        counterparty=statement.counterparty,
        subject=statement.subject,
        period=statement.period,
        digest=statement.digest,
    )
