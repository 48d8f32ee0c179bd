"""Nodes that lie consistently: events and views tell the same story, and only the proofs tell another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from consortium import Consortium
from lying_nodes import PROOF_METHODS, Alteration, honest, lying_node

from fl_chain.audit import AuditReport, audit_run
from fl_chain.errors import MalformedResponse
from fl_chain.ledger import events as e
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet.server import background_server
from fl_chain.ledger.node import connect
from fl_chain.ledger.transport import Json
from fl_chain.report.schema import parse_report

EXTRA_WEI = 12_345
BLOCKS, STATE = PROOF_METHODS[1:], PROOF_METHODS[:1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    built = Consortium(tmp_path_factory.mktemp("run"))
    built.work_until(lambda history: history.state.settled >= 1 and bool(history.claims))
    yield built
    built.chain.close()


def audited(run: Consortium, alter: Alteration = honest, without: Sequence[str] = ()) -> AuditReport:
    ledger = Ledger.open(
        lying_node(run.node, alter, without),
        run.run.ledger.run.ledger,
        deployed_block=run.run.ledger.deployed_block,
    )
    return audit_run(ledger, run.store)


def kinds(report: AuditReport) -> set[str]:
    return {finding.kind.value for finding in report.findings}


def word(number: int) -> str:
    return number.to_bytes(32, "big").hex()


def topic_of(event: type[e.Event]) -> str:
    return next("0x" + t.hex() for t, d in ledger_abi().events.items() if d["name"] == event.__name__)


def is_call(method: str, parameters: Sequence[Json], view: str) -> bool:
    selector = "0x" + ledger_abi().functions[view].encode((1,) if view != "runState" else ())[:4].hex()
    return method == "eth_call" and parameters[0]["data"].startswith(selector)


def more_funding(method: str, parameters: Sequence[Json], result: Json) -> Json:
    """Show more money in the pool: in the event, in the view, and in the contract's balance."""
    if method == "eth_getLogs":
        for log in result:
            if log["topics"][0] == topic_of(e.PoolFunded):
                log["data"] = "0x" + word(int(log["data"], 16) + EXTRA_WEI)
    if is_call(method, parameters, "runState"):
        return result[:-64] + word(int(result[-64:], 16) + EXTRA_WEI)
    if method == "eth_getBalance":
        return hex(int(result, 16) + EXTRA_WEI)
    return result


def another_recipient(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    """Show that a reward was paid to somebody else, of which no view tells."""
    if method == "eth_getLogs":
        for log in result:
            if log["topics"][0] == topic_of(e.RewardClaimed):
                log["data"] = "0x" + word(0xBAD) + log["data"][66:]
    return result


def without_a_bond(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    """Leave an event out that stands alone: a deposited bond."""
    if method == "eth_getLogs":
        return [log for log in result if log["topics"][0] != topic_of(e.BondDeposited)]
    return result


def another_transaction(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    """Say of a payment that another transaction made it."""
    if method == "eth_getLogs":
        result[-1]["transactionHash"] = result[0]["transactionHash"]
    return result


def another_payout(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    """Show another payout address of every participant, of which only its own record tells."""
    if method == "eth_getLogs":
        for log in result:
            if log["topics"][0] == topic_of(e.ParticipantRegistered):
                log["data"] = "0x" + word(0xBAD) + log["data"][66:]
    return result


def test_an_honest_node_proves_everything(run: Consortium) -> None:
    report = audited(run)
    assert report.findings == []
    assert report.proofs is not None
    events, state = report.proofs["events"], report.proofs["state"]
    assert (events["outcome"], events["same"]) == ("proven", True)
    assert events["events"] == len(run.run.ledger.all_events())
    assert (state["outcome"], state["whole_storage"]) == ("proven", True)
    assert state["balance_wei"] == run.node.balance_wei(run.run.ledger.run.ledger)
    assert state["slots"] > 30
    assert parse_report(report.to_json().encode()).proofs is not None


def test_a_devnet_over_http_proves_the_same(run: Consortium) -> None:
    with background_server(run.chain) as url:
        node = connect([url])
        ledger = Ledger.open(node, run.run.ledger.run.ledger)
        assert audit_run(ledger, run.store).to_json() == audited(run).to_json()
        node.close()


LIES: dict[str, tuple[Alteration, bool]] = {  # whether state alone shows it
    "more funding": (more_funding, True),
    "another payout": (another_payout, True),
    "a bond left out": (without_a_bond, True),
    "another recipient": (another_recipient, False),
    "another transaction": (another_transaction, False),
}


@pytest.mark.parametrize("lie", ["more funding", "another transaction"])
def test_a_consistent_lie_passes_where_nothing_is_proven(run: Consortium, lie: str) -> None:
    """These lies are good ones: what finds them in the tests below is the proofs and nothing else."""
    report = audited(run, LIES[lie][0], PROOF_METHODS)
    assert report.findings == []
    assert report.proofs is not None
    assert {part["outcome"] for part in report.proofs.values()} == {"not_offered"}
    assert "does not exist" in report.proofs["state"]["reason"]
    assert parse_report(report.to_json().encode()).verdict == "pass"


@pytest.mark.parametrize("lie", LIES)
def test_proven_events_show_every_lie(run: Consortium, lie: str) -> None:
    report = audited(run, LIES[lie][0], STATE)
    assert "proven_events_differ" in kinds(report)
    (finding,) = [one for one in report.findings if one.kind.value == "proven_events_differ"]
    assert finding.expected != finding.actual
    assert "another node" in finding.detail


@pytest.mark.parametrize("lie", [name for name, (_, shows) in LIES.items() if shows])
def test_proven_state_shows_what_changes_it(run: Consortium, lie: str) -> None:
    report = audited(run, LIES[lie][0], BLOCKS)
    assert "proven_state_differs" in kinds(report)
    assert report.proofs is not None
    assert report.proofs["state"]["outcome"] == "proven"
    assert not report.proofs["state"]["whole_storage"]


def test_a_word_that_differs_is_named(run: Consortium) -> None:
    report = audited(run, more_funding, BLOCKS)
    shown = [one for one in report.findings if "state of the run" in one.detail]
    assert len(shown) == 1
    assert shown[0].expected != shown[0].actual
    assert [one for one in report.findings if "balance" in one.detail]
    report = audited(run, another_payout, BLOCKS)
    assert {one.participant for one in report.findings} == {one.address for one in run.accounts.values()}


def altered_code(method: str, parameters: Sequence[Json], result: Json) -> Json:
    """Show other code than the state holds, but only at the audited block."""
    if method == "eth_getCode" and parameters[1] != "latest":
        return result[:-2] + "01"
    return result


def altered_deployment(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    """Show another deposit in the event of the deployment."""
    if method == "eth_getLogs":
        log = result[0]
        log["data"] = log["data"][:-320] + word(1) + log["data"][-256:]
    return result


def altered_budget(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    """Show a privacy budget in the event of the deployment that the contract does not keep."""
    if method == "eth_getLogs":
        log = result[0]
        log["data"] = log["data"][:-64] + word(1)
    return result


@pytest.mark.parametrize(
    ("alter", "names"),
    [(altered_code, "code"), (altered_deployment, "DEPOSIT_WEI"), (altered_budget, "RHO_MICRO_BUDGET")],
)
def test_code_is_proven_and_what_the_constructor_wrote_into_it(
    run: Consortium, alter: Alteration, names: str
) -> None:
    report = audited(run, alter, BLOCKS)
    assert any(one.kind.value == "proven_state_differs" and names in one.detail for one in report.findings)


def of_state(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    if method == "eth_getProof":
        last = result["accountProof"][-1]
        result["accountProof"][-1] = last[:-1] + format(int(last[-1], 16) ^ 1, "x")
    return result


def of_header(method: str, parameters: Sequence[Json], result: Json) -> Json:
    if method == "eth_getBlockByNumber" and parameters[0] not in ("latest", "0x0"):
        result["gasUsed"] = "0x1"
    return result


def of_receipts(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    if method == "eth_getBlockReceipts" and result and result[0]["logs"]:
        result[0]["logs"][0]["data"] += "00"
    return result


def of_transactions(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    return result[:-2] if method == "eth_getRawTransactionByHash" else result


def of_receipt_count(method: str, _parameters: Sequence[Json], result: Json) -> Json:
    return None if method == "eth_getBlockReceipts" else result


def of_blocks(method: str, parameters: Sequence[Json], result: Json) -> Json:
    return None if method == "eth_getBlockByNumber" and parameters[0] == "0xa" else result


@pytest.mark.parametrize(
    ("alter", "kind"),
    [
        (of_state, "state_proof_fails"),
        (of_header, "event_proof_fails"),
        (of_receipts, "event_proof_fails"),
        (of_transactions, "event_proof_fails"),
        (of_receipt_count, "event_proof_fails"),
        (of_blocks, "event_proof_fails"),
    ],
)
def test_a_proof_that_does_not_hold_is_a_finding(run: Consortium, alter: Alteration, kind: str) -> None:
    report = audited(run, alter)
    assert kinds(report) - {"event_differs"} == {kind}  # its block is another, too
    assert report.proofs is not None
    assert (
        report.proofs[kind.split("_", maxsplit=1)[0] + ("s" if kind.startswith("event") else "")]["outcome"]
        == "failed"
    )
    assert parse_report(report.to_json().encode()).verdict == "fail"


def later(method: str, parameters: Sequence[Json], result: Json) -> Json:
    """Say of every block but the first that it is of another time."""
    if method == "eth_getBlockByNumber" and parameters[0] != "0x0":
        result["timestamp"] = hex(int(result["timestamp"], 16) + 1)
    return result


def test_the_time_of_the_audited_block_is_its_headers(run: Consortium) -> None:
    report = audited(run, later)
    assert kinds(report) == {"event_differs", "event_proof_fails"}
    assert any("hashes to" in one.detail for one in report.findings)


class Forgetful:
    """Tells of an altered event when it is asked first, and of the true one afterwards."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self, method: str, parameters: Sequence[Json], result: Json) -> Json:
        if method == "eth_getLogs":
            self._asked += 1
            if self._asked == 1:
                return another_recipient(method, parameters, result)
        return result


def test_events_that_were_other_when_they_were_read_first_are_found(run: Consortium) -> None:
    report = audited(run, Forgetful())
    assert kinds(report) == {"proven_events_differ"}
    assert "read first" in report.findings[0].detail


def test_a_run_too_long_to_follow_back_says_so(run: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    length = run.node.head().number - run.run.ledger.all_events()[0].place.block_number + 1
    monkeypatch.setattr("fl_chain.ledger.proven_events.MOST_BLOCKS", length)
    report = audited(run)
    assert report.proofs is not None
    assert report.proofs["events"]["outcome"] == "proven"
    monkeypatch.setattr("fl_chain.ledger.proven_events.MOST_BLOCKS", length - 1)
    report = audited(run)
    assert report.findings == []
    assert report.proofs is not None
    assert f"goes over {length} blocks" in report.proofs["events"]["reason"]


def test_a_pruned_node_is_no_finding(run: Consortium) -> None:
    report = audited(run, without=["eth_getProof"])
    assert report.findings == []
    assert report.proofs is not None
    assert [report.proofs[part]["outcome"] for part in ("events", "state")] == ["proven", "not_offered"]


class Silent:
    """Tells of the events once, and of none afterwards."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self, method: str, _parameters: Sequence[Json], result: Json) -> Json:
        self._asked += method == "eth_getLogs"
        return [] if method == "eth_getLogs" and self._asked > 1 else result


def test_a_node_that_tells_of_no_event_any_more_is_not_audited(run: Consortium) -> None:
    with pytest.raises(MalformedResponse, match="no event of the ledger any more"):
        audited(run, Silent())
