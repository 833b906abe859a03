# pragma version 0.4.3
"""
@title A token that reverts for one receiver
"""

blocked: public(address)
balanceOf: public(HashMap[address, uint256])


@external
def mint(receiver: address, amount: uint256):
    self.balanceOf[receiver] += amount


@external
def block_receiver(receiver: address):
    self.blocked = receiver


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
    assert receiver != self.blocked, "BlockingToken: receiver blocked"
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
