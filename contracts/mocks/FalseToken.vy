# pragma version 0.4.3
"""
@title A token that answers false and moves nothing, once told so
"""

refusing: public(bool)
balanceOf: public(HashMap[address, uint256])


@external
def mint(receiver: address, amount: uint256):
    self.balanceOf[receiver] += amount


@external
def refuse(refusing: bool):
    self.refusing = refusing


@external
def transfer(receiver: address, amount: uint256) -> bool:
    return self._move(msg.sender, receiver, amount)


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    return self._move(sender, receiver, amount)


@internal
def _move(sender: address, receiver: address, amount: uint256) -> bool:
    if self.refusing:
        return False
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
    return True
