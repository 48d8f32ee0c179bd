"""The rules of TrainingLedger.sol once more, in Python and in memory.

A second implementation, written from the protocol: the tests drive it and the contract side by side and
compare every refusal, every event and every view. Simulations use it where a chain would be too slow.

Where the contract counts, it keeps sets: who is awaited in the open round, who is expected in the next. A
call either completes or leaves no trace. Money is a balance per account: the native coin that travels with a
call, or an ERC-20 token.
"""

from fl_chain.ledger.memory.coin import Coin, NativeCoin, Token
from fl_chain.ledger.memory.ledger import MemoryLedger
from fl_chain.ledger.memory.records import Claim, Message, OpenedExclusion

__all__ = ["Claim", "Coin", "MemoryLedger", "Message", "NativeCoin", "OpenedExclusion", "Token"]
