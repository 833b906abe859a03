# pragma version 0.4.3
"""
@title A contract that answers every question for a signature with the same bytes, or reverts
"""

answer: public(Bytes[64])
reverts: public(bool)


@external
def set_answer(answer: Bytes[64], reverts: bool):
    self.answer = answer
    self.reverts = reverts


@view
@raw_return
@external
def isValidSignature(digest: bytes32, signature: Bytes[1024]) -> Bytes[64]:
    assert not self.reverts
    return self.answer
