"""What an operator, or who poses as one, can try."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from arena import COUNT, Arena, deploy_switchable, noticed
from registry import Outcome, Result, Stopped, Succeeded, Who, attack, attempt, audited
from rules import (
    CODE,
    CONSTANTS,
    DECLARED_COST,
    DOCUMENT_HASH,
    POLICY_DIFFERS,
    POLICY_HASH,
    TASK_HASH,
    contract,
)

from fl_chain.audit import audit_run
from fl_chain.commitment.canonical import document_hash
from fl_chain.commitment.tree import vector_root
from fl_chain.config import FileTaskSettings, ModelSettings, RowPrivacySettings
from fl_chain.errors import LedgerReverted
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.policy import policy_document
from fl_chain.run.documents import read_policy

BY = Who.OPERATOR


@attack(
    71,
    "pool taken out of a running run",
    BY,
    "withdraws the rewards of the rounds to come, and of those that are not final",
    (
        contract("run-ended", "what is left is paid back after the last final round", "`withdrawPool`"),
        "RunNotEnded",
    ),
    phase="posted",
)
def pool_out(a: Arena) -> Result:
    return attempt(
        lambda: a.ledger.withdraw_pool(a.operator, a.operator.address),
        "the participants train for nothing",
        holds=lambda: a.ledger.state().pool_wei == 0,
    )


@attack(
    72,
    "acting as the operator",
    BY,
    "an outsider admits itself",
    (contract("only-operator", "the operator alone admits", "`onlyOperator`"), "NotOperator"),
)
def posing(a: Arena) -> Result:
    return attempt(
        lambda: a.ledger.admit(a.stranger, a.stranger.address, 1000),
        "anyone takes part",
        holds=lambda: a.ledger.participant(a.stranger.address).admitted,
    )


@attack(
    73,
    "suspension in the middle of a round",
    BY,
    "suspends a participant when it has seen that it is about to submit",
    (
        contract("from-next-round", "a suspension is in force from the next round on", "`suspend`"),
        "next round",
    ),
    phase="open",
)
def suspended_now(a: Arena) -> Result:
    a.ledger.suspend(a.operator, a.who(0))
    try:
        a.submit(0)
    except LedgerReverted:
        return Succeeded("the operator chooses who is in a round when it is under way")
    return Stopped(("next round",))


@attack(
    74,
    "weight cap beyond every sum",
    BY,
    "admits an accomplice with a cap that is more than a round's total weight may be",
    (contract("cap-bounds", "a cap is at most the round's total weight", "`admit`"), "WeightCapOutOfBounds"),
)
def cap_bounds(a: Arena) -> Result:
    most = a.policy.ledger.max_total_weight
    return attempt(
        lambda: a.ledger.admit(a.operator, a.stranger.address, most + 1),
        "one participant fills every round",
        holds=lambda: a.ledger.participant(a.stranger.address).weight_cap == most + 1,
    )


@attack(
    75,
    "rules changed in the middle of a run",
    BY,
    "puts another policy document under the name of the one that everybody agreed to",
    (DOCUMENT_HASH, "DigestMismatch"),
    (POLICY_HASH, "DigestMismatch"),
    (CONSTANTS, "VerificationError"),
    phase="open",
)
def rules_changed(a: Arena) -> Result:
    document = json.loads(policy_document(a.policy))
    document["ledger"]["quorum"] = 1
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    (a.folder / "store" / "documents" / f"0x{a.definition.policy_hash.hex()}").write_bytes(content)
    return attempt(
        lambda: read_policy(a.ledger.definition(), a.ledger.policy(), a.store),
        "participants work by rules that they never saw",
    )


@attack(
    76,
    "document that promises other rules than the contract",
    BY,
    "deploys a contract with other constants than the policy document has whose hash it fixes",
    (CONSTANTS, "VerificationError"),
    (POLICY_DIFFERS, "policy_differs"),
)
def other_constants(a: Arena) -> Result:
    promised = replace(a.policy, ledger=replace(a.policy.ledger, reward_wei=10**18))
    document = policy_document(promised)
    a.store.write_document(document)
    definition = replace(a.definition, policy_hash=document_hash(document))
    made = deploy(a.node, a.operator, definition, a.policy.ledger, aggregator=a.aggregator.address)
    ledger = Ledger.open(a.node, made.address)
    result = attempt(lambda: read_policy(ledger.definition(), ledger.policy(), a.store), "")
    if isinstance(result, Stopped):
        return result
    return audited(audit_run(ledger, a.store), "a hundredth of the promised reward is paid")


@attack(
    77,
    "challenge reward that is the whole bond",
    BY,
    "deploys rules under which an aggregator that challenges itself gets its bond back",
    (
        contract("tenth-of-bond", "a challenge reward is at most a tenth of the bond", "constructor"),
        "PolicyOutOfBounds",
    ),
)
def own_challenge(a: Arena) -> Result:
    ledger = a.policy.ledger
    rules = replace(a.policy, ledger=replace(ledger, challenge_reward_wei=ledger.bond_wei))
    made: list[str] = []

    def deployed() -> None:
        if not a.is_switchable:
            deploy(a.node, a.operator, a.definition, rules.ledger, aggregator=a.aggregator.address)
            return
        receipt = deploy_switchable(
            a.operator, a.definition, rules, a.aggregator.address, rules_off=a.rules_off
        )
        made.append(str(receipt.contract))

    return attempt(deployed, "a lie that is found costs nothing", holds=lambda: bool(made))


@attack(
    78,
    "another contract than the release's",
    BY,
    "deploys a contract of its own with a back door in it, and gives participants its address",
    (CODE, "WrongCode"),
    is_switchable=True,
)
def other_contract(a: Arena) -> Result:
    opened: list[Ledger] = []
    return attempt(
        lambda: opened.append(Ledger.open(a.node, a.address)),
        "rules hold as long as the operator likes",
        holds=lambda: opened[0].state().registered == COUNT,
    )


@attack(
    79,
    "another task file",
    BY,
    "hands one participant a task file that does more than train",
    (TASK_HASH, "DigestMismatch"),
)
def task_file(a: Arena) -> Result:
    from fl_chain.learning.loading import build_task

    agreed = b"class Task:\n    model = load = train = evaluate = print\n"
    path = a.folder / "task.py"
    path.write_bytes(agreed + f"open({str(a.folder / 'stolen')!r}, 'w').close()\n".encode())
    settings = FileTaskSettings(path=str(path), factory="Task", sha256=hashlib.sha256(agreed).hexdigest())
    return attempt(
        lambda: build_task(settings, ModelSettings()),
        "the operator's code runs beside the participant's data",
        holds=(a.folder / "stolen").exists,
    )


@attack(
    80,
    "cohort of one",
    BY,
    "sets the quorum to one, so that a round's model shows the update of a single participant",
    outcome=Outcome.UNDETECTED,
    why="quorum and caps are the policy, which everybody reads before it registers; and in this release "
    "every auditor can read every update anyway.",
    phase="open",
    policy={"quorum": 1, "close_at": 1},
)
def cohort_of_one(a: Arena) -> Result:
    a.submit(0)
    a.publish(0)
    a.post()
    report = a.audit()
    base, model = (a.model(one).view(">i4").astype(int) for one in (0, 1))
    update = a.updates(1)[0].view(">i4").astype(int)
    assert abs(_correlation(model - base, update) - 1) < 1e-9
    return audited(report, "the model minus its base is one participant's update")


def _correlation(one, other) -> float:
    import numpy as np

    return float(np.corrcoef(one, other)[0, 1])


@attack(
    81,
    "two ledgers for one run",
    BY,
    "deploys the same run twice, and gives each half of the participants another address",
    outcome=Outcome.UNDETECTED,
    why="each ledger is right by itself. Whoever takes part compares the ledger's address with the others; "
    "the report names it.",
    phase="open",
)
def two_ledgers(a: Arena) -> Result:
    made = deploy(a.node, a.operator, a.definition, a.policy.ledger, aggregator=a.aggregator.address)
    other = Ledger.open(a.node, made.address)
    a.play_round(1)
    a.post()
    reports = [a.audit(), audit_run(other, a.store)]
    assert vector_root(a.model(0)) == other.model_root(0)
    seen = tuple(one for report in reports for one in noticed(report))
    return Stopped(seen) if seen else Succeeded("participants believe in a consortium that is none")


@attack(
    82,
    "budget that counts a round for less than it costs",
    BY,
    "has a contract and a document take a millionth of rho for a round that gives away far more",
    (DECLARED_COST, "ConfigError"),
    policy={"privacy": RowPrivacySettings(noise_multiplier=4.0, steps=5, rho_budget=0.3)},
)
def cheap_rounds(a: Arena) -> Result:
    cheap = replace(a.policy, ledger=replace(a.policy.ledger, rho_micro_per_round=1))
    document = policy_document(cheap)
    a.store.write_document(document)
    definition = replace(a.definition, policy_hash=document_hash(document))
    made = deploy(a.node, a.operator, definition, cheap.ledger, aggregator=a.aggregator.address)
    ledger = Ledger.open(a.node, made.address)
    result = attempt(lambda: read_policy(ledger.definition(), ledger.policy(), a.store), "")
    if isinstance(result, Stopped):
        return result
    return audited(audit_run(ledger, a.store), "the budget lasts for 300,000 rounds instead of one")
