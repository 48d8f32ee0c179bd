"""What came of looking at a posting."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.proofs import ApplyProof, MaskProof, Proof, RangeProof, SeedProof, SumProof
from fl_chain.records import Digest


class Hidden(Enum):
    """What keeps a posting from being derived, or from being proven wrong."""

    UPDATE = "an included update"
    BASE_MODEL = "the model that the round started from"
    SUM_HASHES = "the chunk hashes of a wrong partial sum"
    MODEL_HASHES = "the wrong model, and its chunk hashes"
    EXCLUSION = "a valid update was left out"
    INCLUSION = "an update from outside the round's cohort was included"
    SELECTION = "the rule leaves out other updates"
    RULE = "the rule gives another result, state or model"
    CARRIED = "what the round before carried on"
    POLICY = "the policy document, which names rule and cohort"
    SPOILT = "a participant did not mask as it said, so that the sum is noise"
    OPENED_SUM = "the opened sum of the round's ciphertexts"


_MAY_YET_BE_READ = (Hidden.UPDATE, Hidden.BASE_MODEL, Hidden.CARRIED, Hidden.POLICY, Hidden.OPENED_SUM)


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing that no proof can show, so that the submitters have to decide."""

    hidden: Hidden
    index: int | None  # of the submission or of the listed sum
    detail: str

    @property
    def is_certain(self) -> bool:
        """Whether the posting is wrong whatever may yet be published."""
        return self.hidden not in _MAY_YET_BE_READ


@dataclass(frozen=True, slots=True)
class Right:
    """The posting is what its round's inputs give."""

    model: Lanes  # shape (dimension,), big-endian
    clamped: int  # lanes of it that did not fit 32 bits
    carried: Lanes | None = None  # what the rule carries on from it besides the model
    update_roots: tuple[Digest, ...] = ()  # of the included ones, where they were all read in one pass


@dataclass(frozen=True, slots=True)
class Proven:
    """The posting is wrong, and one transaction shows it."""

    proof: Proof

    def __str__(self) -> str:
        match self.proof:
            case SumProof(index=index, chunk=chunk):
                return f"partial sum {index} is not what it adds up, in chunk {chunk}"
            case RangeProof(index=index, chunk=chunk, lane=lane):
                return f"submission {index} has lane {lane} of chunk {chunk} out of range"
            case ApplyProof(chunk=chunk):
                return f"the model does not follow from its total, in chunk {chunk}"
            case SeedProof(number=number, owner=owner):
                return f"seed {number} is not the one that {owner.participant} committed to"
            case MaskProof(term=term, chunk=chunk):
                return f"term {term} is not the mask that its seed gives, in chunk {chunk}"


@dataclass(frozen=True, slots=True)
class Unprovable:
    """The posting cannot be derived, or is wrong in a way that arithmetic cannot show."""

    doubts: tuple[Doubt, ...]  # at least one

    @property
    def is_certain(self) -> bool:
        """Whether the posting is wrong whatever may yet be published."""
        return any(doubt.is_certain for doubt in self.doubts)

    def __str__(self) -> str:
        return "; ".join(doubt.detail for doubt in self.doubts)


Outcome = Right | Proven | Unprovable
