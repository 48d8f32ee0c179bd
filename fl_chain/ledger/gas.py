"""Gas limits, given rather than estimated: constants measured on the contract, with room above.

A limit costs nothing beyond what is used, so each is about twice the dearest case that was measured.
"""

from __future__ import annotations

TRANSFER_GAS = 21_000
DEPLOYMENT_GAS = 12_000_000
DEFAULT_GAS = 300_000

_OPENING_GAS = 250_000  # a call may settle one round and open the next
_PER_BYTE_GAS = 40  # EIP-7623's floor for a byte that is not zero
_PER_EXCLUSION_GAS = 12_000
_PER_MEMBER_GAS = 12_000  # of a masked round's ring: an absentee is looked up, a seed is hashed
_PER_VERTEX_GAS = 2_500  # of a masked round's graph: its order is drawn again
_PER_STEP_GAS = 500  # from one of the departed to a neighbour
_PER_SET_UP_GAS = 80_000  # of a participant's keys of a masked round
_PER_CLAIM_GAS = 60_000
_PER_ROUND_GAS = 80_000

_CONSTANT_GAS = {
    "submit": 300_000,
    "suspend": 300_000,
    "leave": 300_000,
    "openRound": _OPENING_GAS + 200_000,
    "closeRound": _OPENING_GAS + 200_000,
    "voidRound": _OPENING_GAS + 200_000,
    "finalize": 150_000,
    "post": _OPENING_GAS + 350_000,
    "challengeSum": 1_000_000,
    "challengeRange": 600_000,
    "challengeApply": 800_000,
    "challengeSeed": 600_000,
    "challengeMask": 2_000_000,
    "object": 300_000,
    "claim": 150_000,
}


def gas_limit(
    call: str,
    *,
    data_bytes: int = 0,
    exclusions: int = 0,
    claims: int = 0,
    rounds: int = 0,
    members: int = 0,
    set_ups: int = 0,
    vertices: int = 0,
    steps: int = 0,
) -> int:
    """Return a gas limit for a call of the ledger.

    Args:
        call: the function's name.
        data_bytes: length of the encoded call.
        exclusions: of a posting.
        claims: rewards that are claimed.
        rounds: that may become final, or void with a posting that falls.
        members: of a masked round's ring.
        set_ups: keys that are brought to one.
        vertices: of a masked round's graph, where the contract draws its order.
        steps: from the departed to their neighbours that it looks at there.
    """
    items = exclusions * _PER_EXCLUSION_GAS + claims * _PER_CLAIM_GAS + rounds * _PER_ROUND_GAS
    items += members * _PER_MEMBER_GAS + set_ups * _PER_SET_UP_GAS
    items += vertices * _PER_VERTEX_GAS + steps * _PER_STEP_GAS
    return _CONSTANT_GAS.get(call, DEFAULT_GAS) + data_bytes * _PER_BYTE_GAS + items
