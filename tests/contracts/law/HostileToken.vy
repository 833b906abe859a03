# pragma version 0.4.3
"""
@title A deposit token that turns hostile, in every way that the escrow might suffer from, and honest again
@notice Mood 0 is honest, 1 answers false and moves nothing, 2 reverts for one address, 3 calls the escrow back.
"""

interface IEscrow:
    def deposit(member: bytes32, amount: uint256): nonpayable

balanceOf: public(HashMap[address, uint256])
mood: uint256
victim: address
escrow: IEscrow


@external
def mint(receiver: address, amount: uint256):
    self.balanceOf[receiver] += amount


@external
def turn(mood: uint256, victim: address, escrow: address):
    self.mood = mood
    self.victim = victim
    self.escrow = IEscrow(escrow)


@external
def approve(spender: address, amount: uint256) -> bool:
    return True


@external
def transfer(receiver: address, amount: uint256) -> bool:
    return self._move(msg.sender, receiver, amount)


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    return self._move(sender, receiver, amount)


@internal
def _move(sender: address, receiver: address, amount: uint256) -> bool:
    if self.mood == 1:
        return False
    if self.mood == 2:
        assert self.victim != sender and self.victim != receiver, "HostileToken: blocked"
    if self.mood == 3:
        extcall self.escrow.deposit(empty(bytes32), amount)
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
    return True
