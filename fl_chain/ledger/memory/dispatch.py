"""A ledger's calls by the names that they have in the contract, and their arguments as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

from fl_chain.errors import ConfigError
from fl_chain.ledger.memory.ledger import Events, MemoryLedger
from fl_chain.ledger.memory.records import Claim, Message, OpenedExclusion


def call_ledger(ledger: MemoryLedger, message: Message, name: str, arguments: Sequence[Any]) -> Events:
    """Make a call on an in-memory ledger.

    Args:
        ledger: takes it.
        message: who calls, when, with how much.
        name: of the contract's function.
        arguments: as the contract takes them.

    Raises:
        LedgerReverted: the ledger refuses.
        ConfigError: the call has no place in a simulation.
    """
    match name, tuple(arguments):
        case "submit", (round_id, base, sealed, weight):
            return ledger.submit(
                message, round=round_id, base_model_root=base, sealed_root=sealed, weight=weight
            )
        case "post", (round_id, digest, excluded, roots, result_root, state_root, model_root):
            return ledger.post(
                message,
                round=round_id,
                digest=digest,
                exclusions=[OpenedExclusion(*one) for one in excluded],
                partial_sum_roots=roots,
                model_root=model_root,
                result_root=result_root,
                state_root=state_root,
            )
        case "object", (round_id, model_root, index, weight, sealed):
            return ledger.object(
                message,
                round=round_id,
                model_root=model_root,
                index=index,
                weight=weight,
                sealed_root=sealed,
            )
        case "claim", (participant, claims):
            return ledger.claim(message, participant, [Claim(*one) for one in claims])
        case _ if name in _PLAIN:
            events: Events = getattr(ledger, _PLAIN[name])(message, *arguments)
            return events
    raise ConfigError(f"the in-memory ledger of a simulation takes no {name}: take --ledger tester")


_PLAIN = {
    "fund": "fund",
    "admit": "admit",
    "suspend": "suspend",
    "announceEnd": "announce_end",
    "withdrawPool": "withdraw_pool",
    "register": "register",
    "changePayout": "change_payout",
    "leave": "leave",
    "openRound": "open_round",
    "closeRound": "close_round",
    "voidRound": "void_round",
    "finalize": "finalize",
    "depositBond": "deposit_bond",
    "requestBond": "request_bond",
    "withdraw": "withdraw",
}


_VIEWS: dict[str, Callable[..., Any]] = {
    "definition": lambda ledger: astuple(ledger.definition()),
    "policy": lambda ledger: astuple(ledger.policy()),
    "operator": lambda ledger: ledger.operator,
    "token": lambda ledger: ledger.token,
    "runState": lambda ledger: astuple(ledger.state()),
    "roundOf": lambda ledger, round_id: astuple(ledger.round(round_id))[1:-1],
    "digestOf": lambda ledger, round_id: ledger.round(round_id).digest,
    "modelRootOf": MemoryLedger.model_root,
    "sumsHashOf": MemoryLedger.sums_hash,
    "leafOf": MemoryLedger.leaf,
    "postingOf": MemoryLedger.posting_summary,
    "isExcluded": MemoryLedger.is_excluded,
    "bonusOf": MemoryLedger.bonus_wei,
    "isBarred": MemoryLedger.is_barred,
    "objectionsTo": MemoryLedger.objections_to,
    "hasObjected": MemoryLedger.has_objected,
    "isClaimed": MemoryLedger.is_claimed,
    "participantOf": lambda ledger, identity: astuple(ledger.participant(identity)),
    "identityOf": MemoryLedger.identity_of,
    "accountOf": lambda ledger, holder: astuple(ledger.account(holder)),
}


def read_view(ledger: MemoryLedger, name: str, arguments: Sequence[Any], *, now: int) -> Any:
    """Return what a view of the contract returns, structs as tuples.

    Args:
        ledger: is asked.
        name: of the contract's function.
        arguments: as the contract takes them.
        now: chain time, seconds.
    """
    return ledger.has_ended(now) if name == "hasEnded" else _VIEWS[name](ledger, *arguments)


def plain(value: Any) -> Any:
    """Return arguments as JSON: bytes as ``{"bytes": hexadecimal}``, sequences as lists."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return int(value) if isinstance(value, int) else value


def restored(value: Any) -> Any:
    """Return what `plain` was given, tuples as lists.

    Raises:
        KeyError, TypeError, ValueError: it is nothing that `plain` returns.
    """
    if isinstance(value, dict):
        return bytes.fromhex(value["bytes"])
    if isinstance(value, list):
        return [restored(one) for one in value]
    if isinstance(value, int | str):
        return value
    raise TypeError(f"{value!r} is no argument")
