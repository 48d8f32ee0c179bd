"""The rules that stop attacks, and how each is switched off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from registry import Patch, Rule

from fl_chain.audit.findings import Collection, Finding
from fl_chain.audit.kinds import RULES, Kind, Severity
from fl_chain.audit.resumption import AuditMemory
from fl_chain.commitment.chunks import LANE
from fl_chain.ledger import events as e
from fl_chain.ledger.keys import address_of
from fl_chain.ledger.tables import Tables
from fl_chain.masking.context import MaskingContext
from fl_chain.records import Digest, Opening, RoundStatus
from fl_chain.run.verdicts import Doubt, Hidden, Unprovable
from fl_chain.store.blobs import Update


def nothing(*_: Any, **__: Any) -> None:
    """Accept whatever it is."""


def contract(switch: str, text: str, where: str) -> Rule:
    """Return a rule of the contract."""
    return Rule(text, where, switches=(switch,))


def _without(kinds: Sequence[str], findings: list[Finding]) -> None:
    findings[:] = [one for one in findings if one.kind.value not in kinds]


def silenced(*kinds: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what makes of a report's ``take`` one that takes no findings of some kinds."""

    def wrapped(take: Callable[..., None]) -> Callable[..., None]:
        def taken(self: Collection, finding: Finding) -> None:
            if finding.kind.value not in kinds:
                take(self, finding)

        return taken

    return wrapped


def silenced_round(*kinds: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what makes of a report's ``absorb`` one that lets findings of some kinds fall."""

    def wrapped(absorb: Callable[..., None]) -> Callable[..., None]:
        def absorbed(self: Collection, other: Collection) -> None:
            _without(kinds, other.findings)
            _without(kinds, other.warnings)
            absorb(self, other)

        return absorbed

    return wrapped


def audit_check(text: str, *kinds: str) -> Rule:
    """Return a check of the audit, by the kinds of findings that it has."""
    severities = {RULES[Kind(kind)].severity for kind in kinds}
    patches = (
        Patch("fl_chain.audit.findings", "Collection.take", wrap=silenced(*kinds)),
        Patch("fl_chain.audit.findings", "Collection.absorb", wrap=silenced_round(*kinds)),
    )
    what = "audit, as a warning" if severities == {Severity.WARNING} else "audit"
    return Rule(text, f"{what}: `{'`, `'.join(kinds)}`", patches=patches)


# ---------------------------------------------------------------------- blobs


def _unchecked_update(self: Any, body: Any, where: str) -> Update:
    opening = Opening(Digest(body[:32].tobytes()), body[32:64].tobytes())
    return Update(opening, body[64:].view(LANE))


VECTOR_ROOT = Rule(
    "the lanes of a vector hash to the root that they are named by",
    "`store.blobs._verify_vector`",
    patches=(Patch("fl_chain.store.blobs", "_verify_vector", nothing),),
)
OPENING = Rule(
    "what opens an update gives its author's sealed root for this round of this ledger",
    "`store.blobs.UpdateBlob._verify_opening`",
    patches=(Patch("fl_chain.store.blobs", "UpdateBlob._verify_opening", nothing),),
)
SUM_ROOT = Rule(
    "the chunk hashes of a sum give the root that they are named by",
    "`store.blobs.SumBlob.decode`",
    patches=(Patch("fl_chain.store.blobs", "SumBlob.decode", lambda self, body, where: body.tobytes()),),
)
DOCUMENT_HASH = Rule(
    "a document hashes to its name",
    "`store.blobs.DocumentBlob.decode`",
    patches=(Patch("fl_chain.store.blobs", "DocumentBlob.decode", lambda self, body, where: body.tobytes()),),
)
SIZE = Rule(
    "a blob has a size that its kind can have, before a byte of it is read",
    "`store.blobs.verify_size`",
    patches=(Patch("fl_chain.store.places", "verify_size", nothing),),
)
NAMES = Rule(
    "the parts of a blob's name are an address and a digest",
    "`store.blobs.update_path`",
    patches=(Patch("fl_chain.store.blobs", "address", lambda value: value),),
)
REPLACED_WHOLE = Rule(
    "a blob is written beside its place and put there by a rename",
    "`store.places.LocalPlace.write`",
    patches=(
        Patch(
            "fl_chain.store.places",
            "LocalPlace.write",
            lambda self, path, pieces: (self.root / path).write_bytes(b"".join(pieces)),
        ),
    ),
)
NO_WAITING = Rule(
    "a file is opened without waiting for whoever is at its other end",
    "`store.places._opener`",
    patches=(Patch("fl_chain.store.places", "_opener", None),),
)

# ---------------------------------------------------------------------- roles

READABLE = Rule(
    "an aggregator leaves out what nobody can read, and posts the rest",
    "`run.rounds.RoundReader.problem`",
    patches=(Patch("fl_chain.run.rounds", "RoundReader.problem", lambda self, submission: None),),
)
BOUNDS = Rule(
    "an aggregator includes no lane beyond the clip times the weight, or past the dimension",
    "`run.rounds.RoundReader.update`",
    patches=(Patch("fl_chain.run.rounds", "verify_update", nothing),),
)
DERIVES = Rule(
    "workers derive a model from its updates, and need no copy of it",
    "`run.models.ModelChain.outcome`",
    patches=(
        Patch(
            "fl_chain.run.models",
            "examine",
            lambda *_, **__: Unprovable((Doubt(Hidden.BASE_MODEL, None, "not derived"),)),
        ),
    ),
)
IN_TIME = Rule(
    "an exclusion counts as wrongful only for who read the update in time",
    "`run.sightings.Sightings.of`",
    patches=(Patch("fl_chain.run.sightings", "Sightings.of", lambda self, round_id: frozenset(range(100))),),
)
SECRET_SALT = Rule(
    "a commitment's salt follows from a secret of the worker's own",
    "`run.outbox.Outbox.secret`",
    patches=(Patch("fl_chain.run.outbox", "Outbox._kept_secret", lambda self, path: bytes(32)),),
)
CONSTANTS = Rule(
    "the policy document's constants are the contract's",
    "`run.documents.read_policy`",
    patches=(Patch("fl_chain.run.documents", "differing_constants", lambda *_: []),),
)
POLICY_HASH = Rule(
    "the policy document has the hash that the ledger fixed",
    "`policy.parse_policy_document`",
    patches=(Patch("fl_chain.policy", "document_hash", lambda document: _ANYTHING),),
)
DECLARED_COST = Rule(
    "a round costs the budget what follows from the declared noise",
    "`policy._verify_privacy`",
    patches=(Patch("fl_chain.policy", "_verify_privacy", nothing),),
)
TASK_HASH = Rule(
    "a task file has the hash that the policy fixes, before anything of it runs",
    "`learning.loading.build_task`",
    patches=(Patch("fl_chain.learning.loading", "_digest", nothing),),
)


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


_ANYTHING = _Anything()

# ---------------------------------------------------------------------- chain and inputs

CODE = Rule(
    "a ledger's code and its verifier's are those of this release",
    "`ledger.code.verify_ledger_code`",
    patches=(Patch("fl_chain.ledger.client", "verify_ledger_code", nothing),),
)
CHAIN_ID = Rule(
    "a node serves the chain that the settings name",
    "`ledger.node.Node.verify_chain`",
    patches=(Patch("fl_chain.ledger.node", "Node.verify_chain", nothing),),
)
REORGANISED = Rule(
    "a history whose last block has left the chain is built anew",
    "`ledger.client.Ledger._confirmed_head`",
    patches=(Patch("fl_chain.ledger.client", "Ledger._forget", nothing),),
)


def _closing_with_anything(apply: Callable[..., None]) -> Callable[..., None]:
    def applied(event: e.Event, tables: Tables) -> None:
        if not isinstance(event, e.RoundClosed):
            apply(event, tables)
            return
        tables.seeds[event.round] = event.seed
        tables.update_round(event.round, status=RoundStatus.CLOSED, since=event.place.timestamp)
        tables.update_state(last_closed=event.round)

    return applied


CLOSING = Rule(
    "a round closes with the digest and the weights of what was submitted to it",
    "`ledger.replay.apply_event`",
    patches=(Patch("fl_chain.ledger.history", "apply_event", wrap=_closing_with_anything),),
)
OTHER_NODE = Rule(
    "another node says the same of blocks, code, events and state",
    "`audit.nodes.audit_other_node`",
    patches=(Patch("fl_chain.audit.run", "audit_other_node", nothing),),
)
SAVED_CHAIN = Rule(
    "a saved chain is whole: headers, transactions, receipts and the index of logs",
    "`ledger.devnet.chain.Chain.verify`",
    patches=(Patch("fl_chain.ledger.devnet.chain", "Chain.verify", nothing),),
)
INSIDE = Rule(
    "a run's folder names nothing outside it",
    "`run.folder._verify_inside`",
    patches=(Patch("fl_chain.run.folder", "_verify_inside", nothing),),
)
NESTING = Rule(
    "JSON from others is nested a few levels deep at most",
    "`commitment.canonical.verify_nesting`",
    patches=(Patch("fl_chain.run.folder", "verify_nesting", nothing),),
)


def _overlaid(**options: Any) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    return lambda environment: lambda: environment().overlay(**options)


ESCAPED = Rule(
    "every value reaches the page escaped",
    "`report.page`",
    patches=(Patch("fl_chain.report.page", "environment", wrap=_overlaid(autoescape=False)),),
)
SCRIPT_BY_HASH = Rule(
    "the page runs one script, named by its hash",
    "`report.page.content_security_policy`",
    patches=(
        Patch(
            "fl_chain.report.page",
            "content_security_policy",
            lambda style, script: "default-src 'unsafe-inline'",
        ),
    ),
)
VISIBLE = Rule(
    "characters that do not show, or reorder others, are spelled out on the page",
    "`report.page.visible`",
    patches=(Patch("fl_chain.report.page", "environment", wrap=_overlaid(finalize=None)),),
)
AUDITOR_KEY = bytes(31) + b"\x2a"
SIGNED = Rule(
    "a signature's key is recovered from it and from the report's very bytes",
    "`audit.attestation.verify_attestation`",
    patches=(Patch("fl_chain.audit.attestation", "signer_of", lambda *_: address_of(AUDITOR_KEY)),),
)
PRINTABLE = Rule(
    "characters that a terminal acts on are spelled out",
    "`cli.terminal.printable`",
    patches=(Patch("fl_chain.cli.main", "printable", str),),
)
MARKUP = Rule(
    "text of others is no markup",
    "`cli.audit_screen`",
    patches=(Patch("fl_chain.cli.audit_screen", "escape", str),),
)

# ---------------------------------------------------------------------- what an audit remembers


def _parsed_whatever_its_digest(self: AuditMemory, line: bytes, form: Any) -> Any:
    _, _, body = line.partition(b" ")
    return form.model_validate_json(body, strict=True)


def _bound_to_anything(bind: Callable[..., None]) -> Callable[..., None]:
    return lambda self, header: bind(self, header) if self.header is None else None


MEMORY_WHOLE = Rule(
    "each line of an audit's memory has the digest of all lines up to it",
    "`audit.resumption.AuditMemory`",
    patches=(Patch("fl_chain.audit.resumption", "AuditMemory._parsed", _parsed_whatever_its_digest),),
)
MEMORY_BOUND = Rule(
    "an audit's memory is of the same chain, ledger, first round and stores",
    "`audit.resumption.AuditMemory.bind`",
    patches=(Patch("fl_chain.audit.resumption", "AuditMemory.bind", wrap=_bound_to_anything),),
)
FINGERPRINTS = Rule(
    "a remembered result is of rounds of which the ledger still says the same",
    "`audit.fingerprints.round_fingerprints`",
    patches=(
        Patch(
            "fl_chain.audit.run",
            "round_fingerprints",
            lambda history, events: [Digest(bytes(32)) for _ in history.rounds],
        ),
    ),
)

# ---------------------------------------------------------------------- the audit

DERIVED = audit_check(
    "every partial sum and every model is derived again and compared", "partial_sum_differs", "model_differs"
)
ALTERED = audit_check("every copy of every blob is what was committed to", "update_altered")
STATE = audit_check("the contract's state is what follows from its events", "state_differs")
FIELDS = audit_check("every field of an event is what the events before it give", "event_differs")
ORDER = audit_check("every step comes in its place, from whom may take it", "out_of_order")
TOTALS = audit_check("a posting's weight is that of what it includes", "total_weight_differs")
BALANCE = audit_check("the contract holds at least what it owes", "balance_short")
PROVEN_EVENTS = audit_check(
    "the events are those that the receipts of the blocks hold, proven against the audited block's hash",
    "event_proof_fails",
    "proven_events_differ",
)
PROVEN_STATE = audit_check(
    "the contract's storage, proven against the audited block's hash, is what its events give",
    "state_proof_fails",
    "proven_state_differs",
)
WEIGHTS = audit_check("no weight is over its participant's cap", "weight_over_cap")
RANGE = audit_check("no included update is out of range", "update_out_of_range")
EXCLUSIONS = audit_check("no valid update is left out as something else", "wrongful_exclusion")
OBJECTED = audit_check("a posting that stands has nobody's objection", "posting_objected")
REJECTED = audit_check("a posting that fell by objections was not right", "rejected_though_right")
AVAILABLE = audit_check(
    "every blob that is wanted is there",
    "sum_blob_missing",
    "model_blob_missing",
    "update_missing",
    "model_underivable",
)
POLICY_DIFFERS = Rule(
    "the policy document's constants are the contract's",
    "audit: `policy_differs`",
    patches=(Patch("fl_chain.audit.documents", "differing_constants", lambda *_: []),),
)
EQUAL = audit_check(
    "no two updates are the same, and none is zero", "update_zero", "update_copied", "update_repeated"
)
NEAR = audit_check("no two updates have the same direction", "update_nearly_copied")
NORMS = audit_check("no update is far longer or shorter than the others", "norm_outlier")
DIRECTIONS = audit_check("no update points away from the others", "direction_outlier")
LEFT_OUT = audit_check(
    "an update that was left out as unreadable and is there now is named", "excluded_but_readable"
)

# ---------------------------------------------------------------------- masks

RELEASED_ONCE = Rule(
    "a participant releases shares of a round for one set of survivors, and remembers which on its disk",
    "`run.releasing.ShareReleaser._is_remembered`",
    patches=(Patch("fl_chain.run.releasing", "ShareReleaser._is_remembered", lambda *_: True),),
)
ENOUGH_RELEASED_FOR = Rule(
    "a participant releases no shares for survivors whose sum hides too little, whatever a node says",
    "`run.releasing.ShareReleaser._are_enough`",
    patches=(Patch("fl_chain.run.releasing", "ShareReleaser._are_enough", lambda *_: True),),
)
RELEASE_SIGNED = Rule(
    "what is released is signed by its participant, for this set of survivors",
    "`run.masked_rounds.release_blob`",
    patches=(Patch("fl_chain.run.masked_rounds", "signer_for", lambda *_: _ANYTHING),),
)
SEED_COMMITTED = Rule(
    "a seed that shares give is the one committed to",
    "`masking.shares.verify_seed`",
    patches=(Patch("fl_chain.masking.shares", "verify_seed", nothing),),
)
MASKS_BOUND = Rule(
    "masks are bound to the base model, so that an update on another one is noise",
    "`masking.context.MaskingContext`",
    patches=(
        Patch(
            "fl_chain.run.ring",
            "masking_context",
            lambda history, round_id: MaskingContext(
                history.run, round_id, history.definition.genesis_model_root
            ),
        ),
    ),
)


def _replacing(apply: Callable[..., None]) -> Callable[..., None]:
    def applied(event: e.Event, tables: Tables) -> None:
        if isinstance(event, e.IdentityKeySet):
            tables.identity_keys[event.participant] = event.key
            return
        if isinstance(event, e.SurvivorsFixed):
            tables.masks[event.round] = replace(tables.round_masks(event.round), exclusions=None)
        apply(event, tables)

    return applied


FIXED_FOR_EVER = Rule(
    "nobody believes a ledger that tells of two identity keys of a participant, or two sets of survivors",
    "`ledger.replay.apply_event`",
    patches=(Patch("fl_chain.ledger.history", "apply_event", wrap=_replacing),),
)
MASKS_RIGHT = audit_check(
    "published seeds are those committed to, and terms what they give",
    "mask_seed_differs",
    "mask_term_differs",
)
ENCRYPTED_ALL = audit_check(
    "no update in the store can be read without the cohort's key", "update_unencrypted"
)
POSTED_IN_TIME = audit_check("an encrypted round that closed is posted in time", "sum_left_closed")
OPENINGS_AGREE = audit_check("those who open a sum find the same", "opening_differs")
ENDORSED = Rule(
    "a sum is opened once most of the cohort endorse it with the key, each one sum with its own update in it",
    "`run.opening.SumOpener._is_endorsed`",
    patches=(Patch("fl_chain.run.opening", "SumOpener._is_endorsed", lambda *_: True),),
)
CHOSEN_ONCE = Rule(
    "who holds the key opens one sum of a round, and remembers which on its disk",
    "`run.encrypted.OpenedSums.verify`",
    patches=(Patch("fl_chain.run.encrypted", "OpenedSums.verify", lambda _, current: current.added.root),),
)
COHORT_KEY_SIGNED = Rule(
    "the cohort's key and identity keys are signed by the accounts of who made them",
    "`run.encrypted_blobs.identity_blob`, `cohort_key_blob`",
    patches=(Patch("fl_chain.run.encrypted_blobs", "signer_for", lambda *_: _ANYTHING),),
)
UNDERIVABLE = audit_check("every round's model can be derived again", "model_underivable")

# ---------------------------------------------------------------------- the contract

CHALLENGES = contract(
    "challenges",
    "one transaction takes a wrong posting down",
    "`challengeSum`, `challengeRange`, `challengeApply`",
)
OBJECTIONS = contract("objections", "more than half of the submitters take a posting down", "`object`")
OWN_PAYOUT = contract(
    "own-payout", "a reward goes to its participant's payout address, whoever asks", "`claim`"
)
CLAIM_LEAF = contract("claim-leaf", "a claim names what was submitted", "`claim`")
