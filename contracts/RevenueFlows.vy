# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title RevenueFlows: templates, versioned formulas as data, evaluated on chain
@notice A template is a list of flows between roles, each with a postfix program (docs/protocol.md, 5). Registration
        walks every program once with intervals, so that no evaluation within the bounds of a trade can overflow.
@custom:kill Nothing stops. A template is never changed or withdrawn: trades name it by its hash.
"""

from .interfaces import IMemberRegistry
from .interfaces import IRevenueFlows
from .interfaces import Types

implements: IRevenueFlows

WH_BOUND: constant(uint256) = 2**40
RATE_BOUND: constant(uint256) = 2**64
INTERMEDIATE_BOUND: constant(int256) = 2**120
AMOUNT_BOUND: constant(uint256) = 2**96
MAX_SCALE: constant(uint256) = 18
MAX_DEPTH: constant(uint256) = 16
WH_PER_KWH: constant(uint256) = 1000

# Opcodes. Below OPERATORS a code pushes the input of its number: 1 to 4 quantities, RATE + i rate i.
RATE: constant(uint256) = 16
OPERATORS: constant(uint256) = 32
ADD: constant(uint256) = 32
SUB: constant(uint256) = 33
MUL: constant(uint256) = 34
MIN: constant(uint256) = 35
MAX: constant(uint256) = 36
LITERAL: constant(uint256) = 64
LAST_LITERAL: constant(uint256) = 80

# Beyond the bits that `shape` shows, its word tells of flow i, from bit 112 + 24 * i: 4 bits payer, 4 bits payee,
# 16 bits length of the program.
SHAPE_MASK: constant(uint256) = 2**112 - 1
FLOWS_SHIFT: constant(uint256) = 112
FLOW_BITS: constant(uint256) = 24

REGISTRY: immutable(IMemberRegistry)

# What a trade must fit, by template.
shapes: HashMap[bytes32, uint256]
# The programs, by template: word k of flow i, left-aligned, under 8 * i + k.
words: HashMap[bytes32, HashMap[uint256, uint256]]
# Names and versions in use, by the hash of both.
titles: HashMap[bytes32, bool]


@deploy
def __init__(registry: address):
    """
    @notice Binds the contract to its market.
    @param registry The market's MemberRegistry, whose council registers templates.
    """
    REGISTRY = IMemberRegistry(registry)


# --- anyone (views) ---


@view
@external
@reentrant
def is_registered(template: bytes32) -> bool:
    """
    @notice Whether trades may name a template.
    @param template Its id.
    @return True once registered, for ever.
    """
    return self.shapes[template] != 0


@view
@external
@reentrant
def shape(template: bytes32) -> uint256:
    """
    @notice What a trade under a template must fit, in one word.
    @param template Its id.
    @return Bits 0-7 number of rates, 8-15 number of flows, 16 + role: named, 32 + role: pays, 64-111 block time of
            registration; 0 if unknown.
    """
    return self.shapes[template] & SHAPE_MASK


@view
@external
@reentrant
def program(template: bytes32, flow: uint256) -> Bytes[256]:
    """
    @notice The formula of a flow.
    @param template Its id.
    @param flow Number of the flow, from 0.
    @return The program; empty for a flow that is not there.
    """
    if flow >= 6:
        return b""
    length: uint256 = (self.shapes[template] >> (FLOWS_SHIFT + FLOW_BITS * flow + 8)) & (2**16 - 1)
    return slice(abi_encode(self._stored(template, flow, length)), 0, length)


@view
@external
@reentrant
def evaluate(
    template: bytes32, quantities: IRevenueFlows.Quantities, rates: DynArray[uint256, 8]
) -> DynArray[Types.RoleFlow, 6]:
    """
    @notice All flows of a template. Reverts for nothing but an unknown template and figures no trade may have.
    @param template Its id.
    @param quantities Wh, each below 2^40.
    @param rates As many as the template names, base units per kWh (or base units where flat), each below 2^64.
    @return Payer role, payee role and amount (base units) of each flow, in order; amounts may be 0.
    """
    shape: uint256 = self.shapes[template]
    assert shape != 0, "RevenueFlows: unknown template"
    assert len(rates) == shape & 255, "RevenueFlows: number of rates"
    inputs: int256[24] = self._inputs(quantities, rates)
    count: uint256 = (shape >> 8) & 255
    header: uint256 = shape >> FLOWS_SHIFT
    flows: DynArray[Types.RoleFlow, 6] = []
    for i: uint256 in range(count, bound=6):
        length: uint256 = (header >> 8) & (2**16 - 1)
        amount: uint256 = self._run(self._stored(template, i, length), length, inputs)
        flows.append(
            Types.RoleFlow(
                payer=convert(header & 15, uint8), payee=convert((header >> 4) & 15, uint8), amount=amount
            )
        )
        header >>= FLOW_BITS
    return flows


@pure
@external
@reentrant
def evaluate_program(
    program: Bytes[256], quantities: IRevenueFlows.Quantities, rates: DynArray[uint256, 8]
) -> uint256:
    """
    @notice What one program gives, registered or not; reverts with the reason if it could not be registered.
    @param program The program.
    @param quantities Wh, each below 2^40.
    @param rates Base units per kWh (or base units where flat), each below 2^64.
    @return Base units.
    """
    words: uint256[8] = self._as_words(program)
    self._check(words, len(program), len(rates))
    return self._run(words, len(program), self._inputs(quantities, rates))


@pure
@external
@reentrant
def check_program(program: Bytes[256], rate_count: uint256):
    """
    @notice Reverts with the reason if a program would be refused.
    @param program The program.
    @param rate_count How many rates its template names.
    """
    self._check(self._as_words(program), len(program), rate_count)


# --- council ---


@external
def register(
    name: String[64], version: uint32, rate_names: DynArray[String[32], 8], flows: DynArray[IRevenueFlows.Flow, 6]
) -> bytes32:
    """
    @notice Registers a template, for ever.
    @dev A name and version stand for one template only: people agree on names.
    @param name Printable ASCII without spaces, without the version.
    @param version From 1.
    @param rate_names Names of the rate inputs, each once; `#FLAT` at the end marks an amount of money.
    @param flows At least one; each between two roles.
    @return The template's id.
    """
    assert msg.sender == staticcall REGISTRY.council(), "RevenueFlows: not the council"
    assert self._is_printable(convert(name, Bytes[64])), "RevenueFlows: bad name"
    assert version > 0, "RevenueFlows: bad version"
    title: bytes32 = keccak256(abi_encode(name, version))
    assert not self.titles[title], "RevenueFlows: version taken"
    self.titles[title] = True

    rate_count: uint256 = len(rate_names)
    for i: uint256 in range(rate_count, bound=8):
        assert self._is_printable(convert(rate_names[i], Bytes[64])), "RevenueFlows: bad rate name"
        for j: uint256 in range(i, bound=8):
            assert keccak256(rate_names[j]) != keccak256(rate_names[i]), "RevenueFlows: rate name twice"

    template: bytes32 = keccak256(abi_encode(name, version, rate_names, flows))
    flow_count: uint256 = len(flows)
    assert flow_count > 0, "RevenueFlows: no flows"
    shape: uint256 = rate_count | (flow_count << 8) | (block.timestamp << 64)
    for i: uint256 in range(flow_count, bound=6):
        payer: uint256 = convert(flows[i].payer, uint256)
        payee: uint256 = convert(flows[i].payee, uint256)
        assert payer >= 1 and payer <= 6 and payee >= 1 and payee <= 6, "RevenueFlows: bad role"
        assert payer != payee, "RevenueFlows: pays itself"
        length: uint256 = len(flows[i].program)
        words: uint256[8] = self._as_words(flows[i].program)
        self._check(words, length, rate_count)
        for k: uint256 in range((length + 31) // 32, bound=8):
            self.words[template][8 * i + k] = words[k]
        shape |= (1 << (16 + payer)) | (1 << (16 + payee)) | (1 << (32 + payer))
        shape |= (payer | (payee << 4) | (length << 8)) << (FLOWS_SHIFT + FLOW_BITS * i)
    self.shapes[template] = shape
    log IRevenueFlows.TemplateRegistered(
        template=template, name=name, version=version, rate_names=rate_names, flows=flows
    )
    return template


# --- internals ---


@pure
@internal
def _inputs(quantities: IRevenueFlows.Quantities, rates: DynArray[uint256, 8]) -> int256[24]:
    """
    @notice What programs can push, by opcode.
    """
    inputs: int256[24] = empty(int256[24])
    assert max(
        max(quantities.contracted_wh, quantities.settled_wh),
        max(quantities.buyer_allocated_wh, quantities.seller_allocated_wh),
    ) < WH_BOUND, "RevenueFlows: quantity too large"
    inputs[1] = convert(quantities.contracted_wh, int256)
    inputs[2] = convert(quantities.settled_wh, int256)
    inputs[3] = convert(quantities.buyer_allocated_wh, int256)
    inputs[4] = convert(quantities.seller_allocated_wh, int256)
    code: uint256 = RATE
    for rate: uint256 in rates:
        assert rate < RATE_BOUND, "RevenueFlows: rate too large"
        inputs[code] = convert(rate, int256)
        code += 1
    return inputs


@pure
@internal
def _run(words: uint256[8], length: uint256, inputs: int256[24]) -> uint256:
    """
    @notice The amount that a checked program gives.
    """
    stack: int256[MAX_DEPTH] = empty(int256[MAX_DEPTH])
    depth: uint256 = 0
    cursor: uint256 = 1
    for _: uint256 in range(64):
        if cursor == length:
            break
        code: uint256 = self._byte(words[cursor >> 5], cursor)
        cursor += 1
        if code < OPERATORS:
            stack[depth] = inputs[code]
            depth += 1
        elif code > LITERAL:
            stack[depth] = self._constant(words, cursor, code - LITERAL)
            cursor += code - LITERAL
            depth += 1
        else:
            depth -= 1
            left: int256 = stack[depth - 1]
            right: int256 = stack[depth]
            if code == MUL:
                left *= right
            elif code == ADD:
                left += right
            elif code == SUB:
                left -= right
            elif code == MIN:
                left = min(left, right)
            else:
                left = max(left, right)
            stack[depth - 1] = left
    return self._as_money(stack[0], words[0] >> 248)


@pure
@internal
def _check(words: uint256[8], length: uint256, rate_count: uint256):
    """
    @notice Walks a program once with intervals: Wh in [0, 2^40), rates in [0, 2^64).
    """
    assert length > 0, "RevenueFlows: empty program"
    scale: uint256 = words[0] >> 248
    assert scale <= MAX_SCALE, "RevenueFlows: bad scale"
    lows: int256[MAX_DEPTH] = empty(int256[MAX_DEPTH])
    highs: int256[MAX_DEPTH] = empty(int256[MAX_DEPTH])
    depth: uint256 = 0
    cursor: uint256 = 1
    for _: uint256 in range(64):
        if cursor == length:
            break
        code: uint256 = self._byte(words[cursor >> 5], cursor)
        cursor += 1
        low: int256 = 0
        high: int256 = 0
        if code >= OPERATORS and code <= MAX:
            assert depth >= 2, "RevenueFlows: stack underflow"
            depth -= 2
            low, high = self._combined(code, lows[depth], highs[depth], lows[depth + 1], highs[depth + 1])
        elif code > LITERAL and code <= LAST_LITERAL:
            size: uint256 = code - LITERAL
            assert cursor + size <= length and (size == 1 or self._byte(words[cursor >> 5], cursor) != 0), "RevenueFlows: bad constant"
            high = self._constant(words, cursor, size)
            low = high
            cursor += size
        elif code >= RATE and code < RATE + 8:
            assert code - RATE < rate_count, "RevenueFlows: bad rate index"
            high = convert(RATE_BOUND - 1, int256)
        else:
            assert code >= 1 and code <= 4, "RevenueFlows: bad opcode"
            high = convert(WH_BOUND - 1, int256)
        assert depth < MAX_DEPTH, "RevenueFlows: stack too deep"
        assert low > -INTERMEDIATE_BOUND and high < INTERMEDIATE_BOUND, "RevenueFlows: intermediate too large"
        lows[depth] = low
        highs[depth] = high
        depth += 1
    assert cursor == length, "RevenueFlows: too many operations"
    assert depth == 1, "RevenueFlows: one value must remain"
    assert self._as_money(highs[0], scale) < AMOUNT_BOUND, "RevenueFlows: amount too large"


@pure
@internal
def _combined(
    code: uint256, left_low: int256, left_high: int256, right_low: int256, right_high: int256
) -> (int256, int256):
    """
    @notice The interval of an operation's result. Operands are below 2^120 in magnitude: nothing overflows.
    """
    if code == ADD:
        return left_low + right_low, left_high + right_high
    if code == SUB:
        return left_low - right_high, left_high - right_low
    if code == MIN:
        return min(left_low, right_low), min(left_high, right_high)
    if code == MAX:
        return max(left_low, right_low), max(left_high, right_high)
    a: int256 = left_low * right_low
    b: int256 = left_low * right_high
    c: int256 = left_high * right_low
    d: int256 = left_high * right_high
    return min(min(a, b), min(c, d)), max(max(a, b), max(c, d))


@pure
@internal
def _as_money(result: int256, scale: uint256) -> uint256:
    """
    @notice Base units of a program's result: clamped, then divided once, floored.
    """
    if result <= 0:
        return 0
    return convert(result, uint256) // (WH_PER_KWH * 10**scale)


@pure
@internal
def _constant(words: uint256[8], start: uint256, size: uint256) -> int256:
    """
    @notice The constant in `size` bytes (at most 16) from `start`, which may lie across two words.
    """
    total: uint256 = 0
    for i: uint256 in range(size, bound=16):
        total = (total << 8) | self._byte(words[(start + i) >> 5], start + i)
    return convert(total, int256)


@pure
@internal
def _byte(word: uint256, position: uint256) -> uint256:
    """
    @notice The byte at a position of the program, in the word that holds it.
    """
    return (word >> (248 - ((position & 31) << 3))) & 255


@view
@internal
def _stored(template: bytes32, flow: uint256, length: uint256) -> uint256[8]:
    words: uint256[8] = empty(uint256[8])
    for k: uint256 in range((length + 31) // 32, bound=8):
        words[k] = self.words[template][8 * flow + k]
    return words


@pure
@internal
def _as_words(program: Bytes[256]) -> uint256[8]:
    """
    @notice The bytes as words, the last one filled up with zeros.
    """
    words: uint256[8] = empty(uint256[8])
    padded: Bytes[288] = concat(program, empty(bytes32))
    for k: uint256 in range((len(program) + 31) // 32, bound=8):
        words[k] = extract32(padded, 32 * k, output_type=uint256)
    return words


@pure
@internal
def _is_printable(text: Bytes[64]) -> bool:
    """
    @notice Whether a name is printable ASCII without spaces, and not empty.
    """
    padded: Bytes[96] = concat(text, empty(bytes32))
    for i: uint256 in range(len(text), bound=64):
        character: uint256 = extract32(padded, i, output_type=uint256) >> 248
        if character < 33 or character > 126:
            return False
    return len(text) > 0
