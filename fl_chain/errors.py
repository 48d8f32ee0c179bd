"""Every error that fl_chain raises on purpose, in one tree.

    FlChainError
    |-- ConfigError           the user's settings are wrong
    |   |-- KeyUnavailable        a signing key cannot be read
    |   |-- PortInUse             the port to listen on is taken
    |   |-- StateInUse            another process has the state folder open
    |   |-- ExtraMissing          an optional package is not installed
    |   `-- OutputExists          the output folder is there already
    |-- InputDataError        the user's data are not what the settings promise
    |   |-- DatasetUnavailable    a catalogued data set is nowhere on this machine
    |   `-- DownloadFailed        a data set's origin does not answer, or sends something else
    |-- ModelError            a model cannot be represented
    |   |-- NonFiniteValue        NaN or infinity in a tensor
    |   |-- ValueOutOfRange       a value does not fit the fixed-point format
    |   `-- UnsupportedModel      its buffers change in training, its dtype is not float, ...
    |-- VerificationError     somebody published what does not match its commitment
    |   |-- DigestMismatch        the bytes hash to something else
    |   |-- MalformedBlob         the bytes are not of the promised form
    |   |-- UpdateOutOfRange      a lane lies beyond clip_lanes * weight, or is set past the dimension
    |   |-- SecretKeyExposed      a secret key was published in a public one's place
    |   |-- Undecryptable         a ciphertext is not what it has to be to decrypt exactly
    |   |-- UnverifiedPosting     a posting is wrong, or cannot be derived
    |   |-- SpoiltRound           a participant did not mask as it said
    |   |-- GapInGraph            the sum of a round could be taken apart
    |   |-- TooFewInGroups        the sum of a group would hide too little, or too few groups stay
    |   |-- TooFewShares          the masks of a round cannot be taken off
    |   `-- ProofRejected         a proof does not show that a posting is wrong
    |-- StateUnwritable       an actor's own folder does not take what has to be durable
    |-- StoreError            a blob store failed
    |   `-- BlobMissing           no copy of a blob can be read
    `-- LedgerError           the chain or its node
        |-- LedgerUnavailable     the node does not answer
        |-- RequestRefused        the node answers a request with an error
        |-- MalformedResponse     the node's answer is not of the promised form
        |-- WrongChain            another chain id than the settings name
        |-- WrongCode             no contract there, or not this one
        |-- TransactionRejected   the node does not take it: too little money, wrong nonce, malformed
        |-- TransactionFailed     mined and reverted, or not mined in time
        |-- TransactionOvertaken  another transaction of the account has its nonce
        |-- TransactionPending    an earlier transaction of the account is still on its way
        `-- LedgerReverted        the contract refused, by one of its custom errors

A message says what was expected, what was found, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class FlChainError(Exception):
    """The root: whatever is not one of these is a defect of fl_chain itself."""


class ConfigError(FlChainError):
    """The user's settings are wrong."""


class KeyUnavailable(ConfigError):
    """A signing key or a worker secret cannot be read."""


class PortInUse(ConfigError):
    """The port to listen on is taken."""


class StateInUse(ConfigError):
    """Another process has the state folder open."""


class ExtraMissing(ConfigError):
    """An optional package is not installed."""


class OutputExists(ConfigError):
    """The output folder is there already and would be overwritten."""


class InputDataError(FlChainError):
    """The user's data are not what the settings promise."""


class DatasetUnavailable(InputDataError):
    """A catalogued data set is nowhere on this machine, or has no origin to download it from."""


class DownloadFailed(InputDataError):
    """A data set's origin does not answer, or what it sends is refused; nothing was kept."""


class ModelError(FlChainError):
    """A model cannot be represented on the ledger."""


class NonFiniteValue(ModelError):
    """A tensor holds NaN or infinity.

    Attributes:
        index: of the first such value in the flat vector; None where that is not known.
    """

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class ValueOutOfRange(ModelError):
    """A value does not fit the fixed-point format.

    Attributes:
        index: of the first such value in the flat vector; None where that is not known.
    """

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class UnsupportedModel(ModelError):
    """The model cannot be aggregated as it is."""


class VerificationError(FlChainError):
    """Somebody published something that does not match its commitment."""


class DigestMismatch(VerificationError):
    """Bytes hash to something else than they were named for.

    Attributes:
        expected: the digest that was committed to, 32 bytes.
        actual: the digest of what was read, 32 bytes.
    """

    def __init__(self, message: str, *, expected: bytes, actual: bytes) -> None:
        super().__init__(f"{message}: expected 0x{expected.hex()}, found 0x{actual.hex()}")
        self.expected = expected
        self.actual = actual


class MalformedBlob(VerificationError):
    """Bytes are not of the promised form (length, header, JSON)."""


class UpdateOutOfRange(VerificationError):
    """An update has a lane beyond ``clip_lanes * weight``, or one that is set past the dimension.

    Attributes:
        lane: index of the first such lane.
        value: that lane as a signed integer.
        bound: the largest absolute value allowed there.
    """

    def __init__(self, *, lane: int, value: int, bound: int) -> None:
        super().__init__(f"lane {lane} holds {value}, outside [-{bound}, {bound}]")
        self.lane = lane
        self.value = value
        self.bound = bound


class SecretKeyExposed(VerificationError):
    """A secret key was published where a public one belongs: nothing under it is secret any more."""


class Undecryptable(VerificationError):
    """A ciphertext does not decrypt exactly: altered, multiplied, or made with another key."""


class UnverifiedPosting(VerificationError):
    """A posting is not what its round's inputs give, or what it takes to derive it cannot be read."""


class SpoiltRound(VerificationError):
    """A participant did not mask as it said: the sum is noise, and the round ends without a model."""


class GapInGraph(VerificationError):
    """Those who stay in a masked round could be told apart into several sums, so no shares are released."""


class TooFewInGroups(VerificationError):
    """The sum of a group would hide too little, or too few sums are left to compare: no share is released."""


class TooFewShares(VerificationError):
    """A seed cannot be put together: too few of its holders have released right shares."""


class ProofRejected(VerificationError):
    """A proof does not show that a posting is wrong.

    Attributes:
        name: the custom error that the contract refuses it with, as in ITrainingLedger.sol.
        arguments: its arguments by name; digests as bytes.
    """

    def __init__(self, name: str, **arguments: Any) -> None:
        shown = (
            f"{key}={'0x' + value.hex() if isinstance(value, bytes) else value}"
            for key, value in arguments.items()
        )
        super().__init__(f"the proof does not hold: {name}({', '.join(shown)})")
        self.name = name
        self.arguments = arguments


class StateUnwritable(FlChainError):
    """An actor's own folder does not take what has to be durable before the next step."""


class StoreError(FlChainError):
    """A blob store failed."""


class BlobMissing(StoreError):
    """No copy of a blob can be read."""


class LedgerError(FlChainError):
    """The chain or its node."""


class LedgerUnavailable(LedgerError):
    """The node does not answer."""


class RequestRefused(LedgerError):
    """The node answers a request with an error.

    Attributes:
        code: the error code of JSON-RPC.
        data: what a reverted call returned; empty where the node says nothing.
    """

    def __init__(self, message: str, *, code: int, data: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class MalformedResponse(LedgerError):
    """The node's answer is not of the promised form: ask another node."""


class WrongChain(LedgerError):
    """The node serves another chain than the settings name."""


class WrongCode(LedgerError):
    """The address holds no contract, or another one."""


class TransactionRejected(LedgerError):
    """The node does not take a transaction: too little money, a wrong nonce, malformed, ..."""


class TransactionFailed(LedgerError):
    """A transaction was mined and reverted, or was not mined in time."""


class TransactionOvertaken(LedgerError):
    """Another transaction of the account has the nonce: look whether this one is still needed."""


class TransactionPending(LedgerError):
    """An earlier transaction of the account is still on its way; the next one waits for it."""


class LedgerReverted(LedgerError):
    """The contract refused a call by one of its custom errors.

    Attributes:
        name: the custom error's name, as in ITrainingLedger.sol.
        arguments: its arguments by name.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any], advice: str = "") -> None:
        detail = ", ".join(f"{key}={value}" for key, value in arguments.items())
        super().__init__(f"the ledger refused: {name}({detail})" + (f". {advice}" if advice else ""))
        self.name = name
        self.arguments = dict(arguments)
