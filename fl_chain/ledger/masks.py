"""The masks of a masked run: keys, survivors and seeds, rebuilt from the events of `SecureAggregation`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from fl_chain.commitment.seals import leaf
from fl_chain.errors import MalformedResponse
from fl_chain.ledger.abi import masks_abi
from fl_chain.ledger.events import Place
from fl_chain.ledger.node import data_bytes, quantity
from fl_chain.records import Address, Digest, Exclusion, ExclusionReason, address


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """What a participant put on the ledger before a round's updates are masked."""

    participant: Address
    round_key: bytes  # X25519, 32 bytes
    key_commitment: Digest
    mask_commitment: Digest
    shares_hash: Digest
    place: Place


@dataclass(frozen=True, slots=True)
class RoundMasks:
    """What the ledger knows of a round's masks.

    Attributes:
        keys: in the order of the ring.
        exclusions: as the survivors were fixed; None before.
        absentees: members that never submitted, ascending.
        terms: vectors that a posting lists before its partial sums.
        seeds: what each poster published last: of each survivor, in the order of submissions, then of each of
            the departed, 16 bytes each.
    """

    keys: tuple[PublishedKeys, ...] = ()
    exclusions: tuple[Exclusion, ...] | None = None
    absentees: tuple[Address, ...] = ()
    terms: int = 0
    fixed_by: Address | None = None
    seeds: Mapping[Address, tuple[bytes, ...]] = field(default_factory=dict)

    @property
    def members(self) -> tuple[Address, ...]:
        """Who may submit, in the order of the ring."""
        return tuple(one.participant for one in self.keys)

    def keys_of(self, participant: Address) -> PublishedKeys | None:
        """Return a member's keys."""
        return next((one for one in self.keys if one.participant == participant), None)


class MaskHistory:
    """Replays the events of one `SecureAggregation`; read its tables, change nothing in them.

    Attributes:
        identity_keys: of each participant, 32 bytes.
        rounds: by round.
    """

    def __init__(self) -> None:
        self.identity_keys: dict[Address, bytes] = {}
        self.rounds: dict[int, RoundMasks] = {}

    def round(self, round_id: int) -> RoundMasks:
        """Return a round's masks; empty where nobody set up keys."""
        return self.rounds.get(round_id, RoundMasks())

    def extend(self, logs: Iterable[Mapping[str, Any]], timestamps: Mapping[int, int] | None = None) -> None:
        """Apply further logs of the contract, in the chain's order.

        Args:
            logs: as eth_getLogs returns them.
            timestamps: chain time by block number, for nodes that do not send it along with a log.

        Raises:
            MalformedResponse: a log is none of the contract's events, or does not follow from those before.
        """
        for log in logs:
            try:
                self._apply(log, timestamps or {})
            except (AttributeError, LookupError, TypeError, ValueError, DecodingError) as error:
                raise MalformedResponse(
                    f"a log of the run's masks is not one of their events, or out of place: {error!r}; ask "
                    "another node"
                ) from error

    def _apply(self, log: Mapping[str, Any], timestamps: Mapping[int, int]) -> None:
        topics = [data_bytes(topic) for topic in log["topics"]]
        description = masks_abi().events[topics[0]]
        place = _place(log, timestamps)
        values = _values(description, topics[1:], data_bytes(log["data"]))
        if description["name"] == "IdentityKeySet":
            if values["participant"] in self.identity_keys:
                raise ValueError("an identity key is set once")
            self.identity_keys[values["participant"]] = values["key"]
            return
        current = self.round(values["round"])
        if description["name"] == "KeysSetUp":
            changed = _joined(current, values, place)
        elif description["name"] == "SurvivorsFixed":
            changed = _fixed(current, values)
        else:
            changed = replace(current, seeds={**current.seeds, values["by"]: tuple(values["seeds"])})
        self.rounds[values["round"]] = changed


def _joined(current: RoundMasks, values: Mapping[str, Any], place: Place) -> RoundMasks:
    if values["index"] != len(current.keys) or values["participant"] in current.members:
        raise ValueError("a participant sets up keys once a round, in order")
    keys = PublishedKeys(
        values["participant"],
        values["roundKey"],
        Digest(values["keyCommitment"]),
        Digest(values["maskCommitment"]),
        Digest(values["sharesHash"]),
        place,
    )
    return replace(current, keys=(*current.keys, keys))


def _fixed(current: RoundMasks, values: Mapping[str, Any]) -> RoundMasks:
    if current.exclusions is not None:
        raise ValueError("the survivors of a round are fixed once")
    exclusions = tuple(
        Exclusion(index, ExclusionReason(reason), leaf(Digest(sealed), weight, address(who)))
        for index, reason, weight, who, sealed in values["exclusions"]
    )
    absentees = tuple(address(one) for one in values["absentees"])
    return replace(
        current, exclusions=exclusions, absentees=absentees, terms=values["terms"], fixed_by=values["by"]
    )


def _place(log: Mapping[str, Any], timestamps: Mapping[int, int]) -> Place:
    number, stamp = quantity(log["blockNumber"]), log.get("blockTimestamp")
    return Place(
        number,
        data_bytes(log["blockHash"]),
        timestamps[number] if stamp is None else quantity(stamp),
        data_bytes(log["transactionHash"]),
        quantity(log["logIndex"]),
    )


def _values(description: Mapping[str, Any], topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
    indexed = [one for one in description["inputs"] if one["indexed"]]
    plain = [one for one in description["inputs"] if not one["indexed"]]
    words = zip(indexed, topics, strict=True)
    values = {one["name"]: decode([one["type"]], word)[0] for one, word in words}
    found = decode([_type(one) for one in plain], data)
    values |= {one["name"]: value for one, value in zip(plain, found, strict=True)}
    return {name: address(value) if _is_address(value) else value for name, value in values.items()}


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 42


def _type(field_: Mapping[str, Any]) -> str:
    kind: str = field_["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(one) for one in field_['components'])}){kind.removeprefix('tuple')}"
