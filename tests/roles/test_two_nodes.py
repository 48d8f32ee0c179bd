"""An audit that compares two nodes: one of them lies, is on another branch, or is only behind."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from consortium import policy
from typer.testing import CliRunner
from unsteady import UnsteadyConsortium, unsteady

from fl_chain.audit import AuditReport, audit_run
from fl_chain.audit.checks import CheckId
from fl_chain.audit.kinds import RULES
from fl_chain.cli.main import app
from fl_chain.ledger import events as e
from fl_chain.ledger.anvil import FIXED_RULES, running_anvil
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node, connect

pytestmark = pytest.mark.node


def is_posted(history: History) -> bool:
    return 1 in history.postings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnsteadyConsortium]:
    """A run of one round, posted."""
    with unsteady(tmp_path_factory.mktemp("run"), policy=policy(rounds=1)) as built:
        built.work_until(is_posted)
        built.mine(2)
        yield built


@contextmanager
def twin(run: UnsteadyConsortium, folder: Path) -> Iterator[Node]:
    """Start a second node that has all that the first one has."""
    state = folder / "state.json"
    state.write_bytes(gzip.decompress(bytes.fromhex(run.node.request("anvil_dumpState")[2:])))
    with running_anvil(arguments=[*FIXED_RULES, "--load-state", str(state)]) as anvil:
        node = connect([anvil.url])
        yield node
        node.close()


def compared(run: UnsteadyConsortium, other: Node) -> AuditReport:
    return audit_run(run.ledger(), run.store, others=[other])


def test_nodes_that_agree_pass(run: UnsteadyConsortium, tmp_path: Path) -> None:
    with twin(run, tmp_path) as other:
        report = compared(run, other)
        assert report.findings == []
        assert report.checks[CheckId.NODES] > 10
        # Anvil keeps words of storage with a zero in them, so that it is each word that is proven there.
        assert report.proofs is not None
        assert report.proofs["events"]["same"]
        assert report.proofs["state"]["outcome"] == "proven"


def test_a_node_that_is_behind_is_compared_as_far_as_it_is(run: UnsteadyConsortium, tmp_path: Path) -> None:
    with twin(run, tmp_path) as other:
        reached = other.head()
        run.mine(3)
        report = compared(run, other)
        assert report.findings == []
        assert report.chain["block_hash"] == "0x" + reached.hash.hex()


def lower_pool(run: UnsteadyConsortium, other: Node) -> None:
    other.request("anvil_setStorageAt", run.run.ledger.run.ledger, hex(2), "0x" + "00" * 31 + "07")


def raise_balance(run: UnsteadyConsortium, other: Node) -> None:
    other.request("anvil_setBalance", run.run.ledger.run.ledger, hex(10**21))


def replace_code(run: UnsteadyConsortium, other: Node) -> None:
    code = run.node.code(run.run.ledger.run.ledger)
    other.request("anvil_setCode", run.run.ledger.run.ledger, "0x" + (code[:-1] + b"\x01").hex())


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        (lower_pool, "node_state_differs"),
        (raise_balance, "node_state_differs"),
        (replace_code, "node_code_differs"),
    ],
)
def test_a_node_that_lies_about_one_block_is_found(
    run: UnsteadyConsortium, tmp_path: Path, lie: Callable[[UnsteadyConsortium, Node], None], kind: str
) -> None:
    with twin(run, tmp_path) as other:
        lie(run, other)
        report = compared(run, other)
    assert {finding.kind.value for finding in report.findings} == {kind}
    for finding in report.findings:
        assert finding.expected != finding.actual
        assert "a third node" in RULES[finding.kind].advice


def test_the_command_names_what_differs(run: UnsteadyConsortium, tmp_path: Path) -> None:
    arguments = ["audit", "--rpc", run.url, "--ledger", run.run.ledger.run.ledger]
    arguments += ["--store", str(run.folder / "store"), "--json", str(tmp_path / "report.json")]
    with twin(run, tmp_path) as other:
        url = f"{other.name}/?key=secret"
        same = CliRunner().invoke(app, [*arguments, "--compare-rpc", url])
        assert same.exit_code == 0, same.output
        raise_balance(run, other)
        differs = CliRunner().invoke(app, [*arguments, "--compare-rpc", url])
    assert differs.exit_code == 1
    assert "node_state_differs" in differs.output
    written = (tmp_path / "report.json").read_text()
    assert json.loads(written)["findings"][0]["actual"] == str(10**21)
    assert "secret" not in written


# Last, because the run is another one afterwards.
def test_a_node_on_another_branch_is_found(run: UnsteadyConsortium, tmp_path: Path) -> None:
    (posted,) = [one for one in run.since(0) if isinstance(one, e.RoundPosted)]
    with twin(run, tmp_path) as other:
        run.reorganise(posted.place.block_number)
        report = compared(run, other)
    kinds = [finding.kind.value for finding in report.findings]
    assert kinds[:2] == ["node_block_differs", "node_events_differ"]
    assert set(kinds[2:]) == {"node_state_differs"}
    block, events = report.findings[:2]
    assert block.expected == report.chain["block_hash"] != block.actual
    assert events.expected == "none"
    assert events.actual is not None
    assert "RoundPosted" in events.actual
    assert events.round == 1
