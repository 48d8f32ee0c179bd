"""A round's updates as an audit reads them: included ones in their order, and those that were left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Collection as Indices
from dataclasses import dataclass
from functools import partial

from fl_chain.aggregation.quantise import verify_masked_update, verify_update
from fl_chain.audit.checks import CheckId
from fl_chain.audit.copies import Content, read_update_copies
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.audit.masks import audit_secrecy
from fl_chain.audit.observation import Observation
from fl_chain.audit.statistics import UpdateStatistics
from fl_chain.audit.whole_rounds import SeenUpdate
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.pool import HashingPool
from fl_chain.errors import StoreError, UpdateOutOfRange, VerificationError
from fl_chain.ledger.history import History
from fl_chain.records import Digest, ExclusionReason, Posting, Submission
from fl_chain.store import Store, Update
from fl_chain.store.blobs import OPENING_BYTES


class Underivable(Exception):
    """An included update cannot be read."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An update that was read, and everything that can be said of it without the others."""

    update: Update | None  # None: no copy is good
    error: StoreError | VerificationError | None  # why not
    out_of_range: UpdateOutOfRange | None
    observation: Observation | None  # None as well where the update is under masks


@dataclass(frozen=True, slots=True)
class UpdateReader:
    """What it takes to read the updates of a posting."""

    history: History
    store: Store
    notes: Collection
    statistics: UpdateStatistics
    has_read: Callable[[int], None]  # told the bytes of each update that was read

    def prepared(self, submission: Submission) -> Prepared:
        """Read an included update and look at it; may run in several threads, and notes nothing.

        `UpdateStatistics.prepare` was called before.
        """
        try:
            update = self._read(submission)
        except (StoreError, VerificationError) as error:
            return Prepared(None, error, None, None)
        out_of_range, dimension = None, self.history.definition.dimension
        if self.history.is_masked:  # its lanes say nothing
            try:
                self._verify_bounds(submission, update)
            except UpdateOutOfRange as error:
                out_of_range = error
            return Prepared(update, None, out_of_range, None)
        observation = self.statistics.observe(update.lanes[:dimension])
        bound = self.history.policy.quantisation.clip_lanes * submission.weight
        # Only what may be out of range is looked at again, for which lane it is.
        if observation.largest > bound or update.lanes.size != dimension:
            try:
                self._verify_bounds(submission, update)
            except UpdateOutOfRange as error:
                out_of_range = error
        return Prepared(update, None, out_of_range, observation)

    def included(self, submission: Submission, posting: Posting, prepared: Prepared) -> Lanes | None:
        """Return an included update after checking all its copies; None where none is good."""

        def read() -> Update:
            if prepared.update is None:
                raise prepared.error or StoreError("it was not read")
            return prepared.update

        update = self._every_copy(submission, posting, "", read)
        if update is None:
            return None
        self._note_bounds(submission, prepared.out_of_range)
        lanes = update.lanes[: self.history.definition.dimension]  # as the sums do
        root = update.opening.vector_root
        self._note(submission, update.lanes.nbytes, root, prepared.observation)
        if self.history.is_masked:
            audit_secrecy(submission, lanes, self.history.policy.quantisation, self.notes)
        return lanes

    def note_whole(self, seen: SeenUpdate, posting: Posting) -> None:
        """Note an included update that was read with its whole round, after checking its other copies."""
        self._every_copy(seen.submission, posting, "", lambda: seen)
        self._note_bounds(seen.submission, None)
        size = LANE.itemsize * self.history.definition.dimension
        self._note(seen.submission, size, seen.vector_root, seen.observation)

    def _note(
        self, submission: Submission, lanes_bytes: int, root: Digest, observation: Observation | None
    ) -> None:
        size = OPENING_BYTES + lanes_bytes
        self.notes.blobs.updates += 1
        self.notes.blobs.bytes += size
        self.has_read(size)
        if observation is not None:  # under masks there is nothing to see
            self.notes.count(CheckId.UPDATE_FIGURES)
            self.statistics.add(submission, root, observation)

    def look_again(self, submission: Submission) -> None:
        """Give an update that was audited before to the statistics once more.

        Raises:
            StoreError, VerificationError: if it cannot be read any more.
        """
        update = self._read(submission)
        lanes = update.lanes[: self.history.definition.dimension]
        self.statistics.add(submission, update.opening.vector_root, self.statistics.observe(lanes))

    def audit_exclusions(self, posting: Posting, *, rule_chooses: bool, outsiders: Indices[int] = ()) -> None:
        """Look at every update that a posting leaves out, where it can be read.

        Args:
            posting: which leaves them out.
            rule_chooses: whether the run's rule leaves out updates; `RuleAudit.audit_selection` has those.
            outsiders: the submissions, by index, from outside the round's cohort: rightly left out, whatever
                their updates are.
        """
        submissions = self.history.submissions[posting.round]
        for exclusion in posting.exclusions:
            if exclusion.index >= len(submissions):
                continue  # the check of events has it
            if exclusion.reason is ExclusionReason.BY_RULE and rule_chooses:
                continue
            if exclusion.index in outsiders:
                continue
            self.notes.count(CheckId.EXCLUSIONS)
            submission = submissions[exclusion.index]
            if exclusion.reason is not ExclusionReason.UNREADABLE:
                which = ", which the posting could read and left out,"
                if self._every_copy(submission, posting, which, partial(self._read, submission)) is None:
                    continue
            if not self._is_valid(submission):
                continue
            reason = exclusion.reason.name.lower().replace("_", " ")
            if exclusion.reason is ExclusionReason.UNREADABLE:
                kind = Kind.EXCLUDED_BUT_READABLE
                detail = "the update was excluded as unreadable, and is there now; it may have come late"
            else:
                kind = Kind.WRONGFUL_EXCLUSION
                detail = f"a valid update was excluded as {reason}"
            self.notes.add(kind, detail, round=posting.round, participant=submission.participant)

    def _is_valid(self, submission: Submission) -> bool:
        try:
            update = self._read(submission)
            self._verify_bounds(submission, update)
        except (StoreError, VerificationError):
            return False
        return True

    def _every_copy(
        self, submission: Submission, posting: Posting, which: str, read: Callable[[], Content]
    ) -> Content | None:
        """Return an update after checking all its copies; None, and a finding, where none is good."""
        run, lanes = self.history.run, self.history.definition.dimension
        return read_update_copies(
            self.notes, self.store, submission, posting, run=run, lanes=lanes, which=which, read=read
        )

    def _note_bounds(self, submission: Submission, error: UpdateOutOfRange | None) -> None:
        self.notes.count(CheckId.UPDATE_BOUNDS)
        if error is not None:
            self.notes.add(
                Kind.UPDATE_OUT_OF_RANGE,
                f"an included update should have been excluded: {error}",
                round=submission.round,
                participant=submission.participant,
                expected=f"at most {error.bound}",
                actual=str(error.value),
            )

    def _verify_bounds(self, submission: Submission, update: Update) -> None:
        definition, quantisation = self.history.definition, self.history.policy.quantisation
        if self.history.is_masked:
            verify_masked_update(update.lanes, definition.dimension)
        else:
            verify_update(update.lanes, submission.weight, quantisation, definition.dimension)

    def _read(self, submission: Submission) -> Update:
        return self.store.read_update(
            submission.participant,
            submission.sealed_root,
            self.history.definition.dimension,
            run=self.history.run,
            round=submission.round,
        )


class IncludedUpdates:
    """Yields a round's updates in order; raises at the first that cannot be read, and can go on after it.

    The next ones are read, hashed and looked at by the pool's threads meanwhile, one ahead for each.
    """

    def __init__(
        self, reader: UpdateReader, submissions: Sequence[Submission], posting: Posting, pool: HashingPool
    ) -> None:
        excluded = {exclusion.index for exclusion in posting.exclusions}
        self._reader = reader
        self._posting = posting
        self._waiting = iter(submissions)
        self._excluded = excluded
        self._broken = False
        reader.statistics.prepare()
        included = (one for one in submissions if one.index not in excluded)
        size = LANE.itemsize * reader.history.definition.dimension * len(submissions)
        self._prepared = pool.ahead(reader.prepared, included, size_bytes=size)

    def __iter__(self) -> IncludedUpdates:
        return self

    def go_on(self) -> None:
        """Do not stop at updates that cannot be read from now on."""
        self._broken = True

    def __next__(self) -> Lanes | None:
        submission = next(self._waiting)
        if submission.index in self._excluded:
            return None
        lanes = self._reader.included(submission, self._posting, next(self._prepared))
        if lanes is None and not self._broken:
            self._broken = True
            raise Underivable
        return lanes
