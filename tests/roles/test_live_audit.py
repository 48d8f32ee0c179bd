"""An audit, and an explanation of rewards, of a run that goes on while they read."""

import pytest
from consortium import Consortium

from fl_chain.audit import audit_run, explain_rewards
from fl_chain.errors import LedgerUnavailable
from fl_chain.ledger.client import Ledger
from fl_chain.records import Digest
from fl_chain.store import Store


class BusyStore(Store):
    """A store during whose every read of a document the run moves on."""

    def __init__(self, consortium: Consortium) -> None:
        super().__init__([str(consortium.folder / "store")])
        self._consortium = consortium
        self.moved = 0

    def read_document(self, sha256: Digest) -> bytes:
        consortium = self._consortium
        consortium.run.ledger.fund(consortium.operator, 1)
        self.moved += consortium.work()
        return super().read_document(sha256)


def test_what_happens_during_an_audit_is_no_finding(consortium: Consortium) -> None:
    consortium.work_until(lambda history: 1 in history.postings)
    store = BusyStore(consortium)
    ledger = consortium.ledger()

    report = audit_run(ledger, store)

    assert store.moved
    assert report.findings == []
    assert report.chain["block_number"] < consortium.node.head().number


def test_what_happens_during_an_explanation_is_no_contradiction(consortium: Consortium) -> None:
    consortium.work_until(lambda history: 1 in history.postings)
    store = BusyStore(consortium)

    explained = explain_rewards(consortium.ledger(), store, consortium.address("2"))

    assert store.moved
    assert explained.is_right


def test_an_audit_waits_for_the_first_block_with_its_confirmations(consortium: Consortium) -> None:
    ledger = Ledger.open(consortium.node, consortium.run.ledger.run.ledger, confirmations=1000)

    with pytest.raises(LedgerUnavailable, match="confirmations"):
        audit_run(ledger, consortium.store)
