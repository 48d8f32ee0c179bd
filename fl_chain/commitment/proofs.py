"""The proofs that a posting is wrong, and what the ledger stores that they are checked against.

Fields and their order are those of the structs in ITrainingLedger.sol and ISecureAggregation.sol, so that
``dataclasses.astuple`` of a proof is the argument of its contract function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fl_chain.records import Address, Digest, FallReason, PublishedKeys, Quantisation, RunId


@dataclass(frozen=True, slots=True)
class SubmissionOpening:
    """What opens one stored leaf down to the update's vector root; Solidity's ``Opening``."""

    vector_root: Digest
    salt: bytes  # 32 bytes
    weight: int
    participant: Address


@dataclass(frozen=True, slots=True)
class SumProof:
    """Shows that the summands of a listed partial sum do not add up to it in one chunk."""

    reason: ClassVar[FallReason] = FallReason.SUM
    function: ClassVar[str] = "challengeSum"

    index: int  # of the wrong sum in the posted list
    chunk: int  # in which it is wrong; padding chunks count
    chunk_hash: Digest  # of the listed sum's own chunk
    path: tuple[Digest, ...]  # its siblings up to the listed root, lowest first
    partial_sum_roots: tuple[Digest, ...]  # the posted list
    openings: tuple[SubmissionOpening, ...]  # level 1: of the included submissions, ascending; else none
    chunks: bytes  # the same chunk of every summand, 4096 bytes each, in their order
    paths: tuple[Digest, ...]  # their siblings, one summand after the other, lowest first


@dataclass(frozen=True, slots=True)
class RangeProof:
    """Shows that an included update has a lane that no honest update has."""

    reason: ClassVar[FallReason] = FallReason.RANGE
    function: ClassVar[str] = "challengeRange"

    index: int  # of the submission
    opening: SubmissionOpening
    chunk: int  # padding chunks count
    lane: int  # in the chunk, 0 to 1023
    content: bytes  # of the chunk, 4096 bytes
    path: tuple[Digest, ...]  # its siblings, lowest first


@dataclass(frozen=True, slots=True)
class ApplyProof:
    """Shows that a chunk of the posted model is not what the posted total makes of the base model."""

    reason: ClassVar[FallReason] = FallReason.APPLY
    function: ClassVar[str] = "challengeApply"

    chunk: int
    partial_sum_roots: tuple[Digest, ...]  # the posted list; the total is its last root
    base_content: bytes  # the base model's chunk, 4096 bytes
    base_path: tuple[Digest, ...]
    total_content: bytes  # the total's chunk, 4096 bytes
    total_path: tuple[Digest, ...]
    model_chunk_hash: Digest  # of the posted model's own chunk
    model_path: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class ExcludedSubmission:
    """A submission that a posting leaves out, as its list has it; Solidity's ``Exclusion``."""

    index: int
    reason: int
    weight: int
    participant: Address
    sealed_root: Digest


@dataclass(frozen=True, slots=True)
class Departed:
    """Who left a masked round after the key set-up."""

    exclusions: tuple[ExcludedSubmission, ...]
    absentees: tuple[Address, ...]  # never submitted, ascending


@dataclass(frozen=True, slots=True)
class LeafOpening:
    """What opens one stored leaf."""

    sealed_root: Digest
    weight: int
    participant: Address


@dataclass(frozen=True, slots=True)
class SeedProof:
    """Shows that a seed of a masked posting is not the one that was committed to."""

    reason: ClassVar[FallReason] = FallReason.SEED
    function: ClassVar[str] = "challengeSeed"

    number: int  # of the seed in the published list
    seeds: tuple[bytes, ...]
    departed: Departed
    set_ups: tuple[Digest, ...]  # digests of all of the round, in their order
    owner: PublishedKeys
    leaf: LeafOpening  # of the owner's submission, where it survived


@dataclass(frozen=True, slots=True)
class MaskProof:
    """Shows that a term of a masked posting is not the mask that its seed gives, in one chunk."""

    reason: ClassVar[FallReason] = FallReason.MASK
    function: ClassVar[str] = "challengeMask"

    term: int  # its place in the posted list
    chunk: int
    chunk_hash: Digest  # of the term's own chunk
    path: tuple[Digest, ...]  # its siblings up to the listed root, lowest first
    partial_sum_roots: tuple[Digest, ...]  # the posted list
    seeds: tuple[bytes, ...]
    departed: Departed
    set_ups: tuple[Digest, ...]
    owner: PublishedKeys
    peer: PublishedKeys  # the survivor that the mask was shared with; the owner again for an own mask
    leaf: LeafOpening  # of the survivor's submission


Proof = SumProof | RangeProof | ApplyProof | SeedProof | MaskProof


@dataclass(frozen=True, slots=True)
class PostedRound:
    """What the ledger stores of a posted round: everything that a proof is checked against."""

    run: RunId
    round: int
    dimension: int  # lanes of the model
    quantisation: Quantisation
    leaves: Sequence[Digest]  # one for each submission, in order
    excluded: frozenset[int]  # indices of submissions
    included_weight: int
    sums_hash: Digest
    base_model_root: Digest
    model_root: Digest
    masks: PostedMasks | None = None  # of a masked round

    @property
    def terms(self) -> int:
        """How many vectors that take masks off the list begins with; they are summands after the updates."""
        return 0 if self.masks is None else self.masks.terms


@dataclass(frozen=True, slots=True)
class PostedMasks:
    """What the ledger stores of a masked round's masks, opened."""

    keys: tuple[PublishedKeys, ...]  # in the order of the ring
    set_ups: tuple[Digest, ...]  # their digests
    departed: Departed
    survivors: int
    terms: int
    seeds: tuple[bytes, ...]  # that the poster published last
    pairs: tuple[tuple[Address, Address], ...] | None = None
    """Of a round with a graph: of whom and with which survivor each term after the own masks is."""
    groups: tuple[tuple[tuple[Address, ...], tuple[Address, ...]], ...] = ()
    """Of a round with groups: survivors and departed of each that stays."""
    left: frozenset[Address] = frozenset()
    """Members of groups of which nobody stays: zero may stand for their seeds."""
