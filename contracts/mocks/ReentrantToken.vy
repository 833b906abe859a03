# pragma version 0.4.3
"""
@title A token that calls back while it moves tokens
@notice Honest until `arm`; then each transfer calls the target with the given data once, and keeps what came of it.
"""

balanceOf: public(HashMap[address, uint256])
target: public(address)
data: public(Bytes[2048])
called: public(bool)
succeeded: public(bool)
answer: public(Bytes[256])


@external
def mint(receiver: address, amount: uint256):
    self.balanceOf[receiver] += amount


@external
def arm(target: address, data: Bytes[2048]):
    self.target = target
    self.data = data
    self.called = False


@external
def approve(spender: address, amount: uint256) -> bool:
    return True


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    self._move(sender, receiver, amount)
    return True


@internal
def _move(sender: address, receiver: address, amount: uint256):
    if self.target != empty(address) and not self.called:
        self.called = True
        success: bool = False
        answer: Bytes[256] = b""
        success, answer = raw_call(self.target, self.data, max_outsize=256, revert_on_failure=False)
        self.succeeded = success
        self.answer = answer
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
