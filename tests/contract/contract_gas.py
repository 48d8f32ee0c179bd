"""Measure the gas of every external call; run as a program to rewrite ``contracts/gas.json``."""

from __future__ import annotations

import json
from pathlib import Path

from challenge_gas import measure_challenges
from contract_run import ETHER, POLICY, Run
from masked_gas import measure_masks

GAS_FILE = Path(__file__).resolve().parents[2] / "contracts" / "gas.json"
PARTICIPANTS = 64
CLAIMED_ROUNDS = 10


def measure() -> dict[str, int]:
    """Return the gas of each call, by name; what follows an underscore says in which situation."""
    parts = (large_rounds(), small_rounds(), ending(), measure_challenges(), measure_masks())
    return dict(sorted((name, gas) for part in parts for name, gas in part.items()))


def ready(participants: int, policy: dict[str, int], gas: dict[str, int]) -> Run:
    """Return a run in which so many participants have registered, with what getting there cost."""
    run = Run(policy)
    gas["deploy"] = run.deployment_gas
    gas["fund"] = run.send(run.operator, "fund", 20 * ETHER, value=20 * ETHER)
    gas["depositBond"] = run.send(run.aggregator, "depositBond", 5 * ETHER, value=5 * ETHER)
    for index in range(participants):
        worker = run.worker(index)
        gas["admit"] = run.send(run.operator, "admit", worker.address, 1000)
        payout = run.account(f"payout {index}").address
        gas["register"] = run.send(worker, "register", payout, value=policy["depositWei"])
    gas["openRound"] = run.send(run.operator, "openRound")
    return run


def large_rounds() -> dict[str, int]:
    """Rounds of 64 submissions, after two small ones that have earned the poster its first credit."""
    gas: dict[str, int] = {}
    run = ready(PARTICIPANTS, POLICY, {})
    run.submit(0)
    run.submit(1)
    run.pass_time(POLICY["submissionSeconds"] + 1)
    run.send(run.operator, "closeRound", run.latest())
    run.post(run.aggregator, 2)
    run.submit(0)
    run.submit(1)
    run.post(run.aggregator, 2)
    run.pass_time(POLICY["challengeSeconds"])
    run.send(run.operator, "openRound")
    run.send(run.operator, "finalize")
    for index in reversed(range(PARTICIPANTS)):
        run.submit(index)
    gas["post_64"] = run.post(run.aggregator, PARTICIPANTS)

    run.pass_time(POLICY["challengeSeconds"] - 600)
    for index in reversed(range(1, PARTICIPANTS)):
        gas["submit"] = max(gas.get("submit", 0), run.submit(index))
    gas["submit_closing"] = run.submit(0)
    run.pass_time(POLICY["publicationSeconds"] + 1)
    gas["post_64_settling_1"] = run.post(run.aggregator, PARTICIPANTS)

    run.pass_time(POLICY["challengeSeconds"] - 600)
    for index in reversed(range(PARTICIPANTS)):
        run.submit(index)
    run.pass_time(POLICY["publicationSeconds"] + 1)
    excluded = tuple(range(0, PARTICIPANTS, 8))
    gas["post_64_excluding_8"] = run.post(run.aggregator, PARTICIPANTS, excluded)
    return gas


def small_rounds() -> dict[str, int]:
    """Rounds of two, then claims, keys and deposits."""
    policy = POLICY | {"maxUnfinalRounds": 64}
    gas: dict[str, int] = {}
    run = ready(3, policy, gas)
    for _ in range(CLAIMED_ROUNDS):
        for index in range(3):
            run.submit(index)
        gas["post_3"] = run.post(run.aggregator, 3)
    run.submit(0)
    run.pass_time(policy["submissionSeconds"] + 1)
    gas["closeRound_void"] = run.send(run.operator, "closeRound", run.latest())
    gas["finalize_11"] = run.send(run.operator, "finalize")
    gas["claim_1"] = run.send(run.operator, "claim", run.worker(0).address, run.claims(0, range(1, 2)))
    gas["claim_9"] = run.send(run.operator, "claim", run.worker(0).address, run.claims(0, range(2, 11)))
    run.submit(0)
    run.submit(1)
    run.pass_time(policy["submissionSeconds"] + 1)
    gas["closeRound"] = run.send(run.operator, "closeRound", run.latest())
    run.pass_time(policy["postingSeconds"] + policy["takeoverSeconds"])
    gas["voidRound"] = run.send(run.operator, "voidRound", run.latest())
    run.submit(0)
    run.submit(1)
    key = run.account("another key")
    payout = run.account("another payout").address
    gas["changePayout"] = run.send(run.worker(2), "changePayout", payout)
    gas["requestSignerRotation"] = run.send(run.worker(2), "requestSignerRotation", key.address)
    run.pass_time(policy["unbondingSeconds"])
    gas["rotateSigner"] = run.send(key, "rotateSigner", run.worker(2).address)
    gas["leave"] = run.send(key, "leave")
    gas["suspend"] = run.send(run.operator, "suspend", run.worker(1).address)
    gas["requestBond"] = run.send(run.aggregator, "requestBond", ETHER)
    run.pass_time(policy["unbondingSeconds"])
    gas["withdraw"] = run.send(run.operator, "withdraw", run.aggregator.address)
    return gas


def ending() -> dict[str, int]:
    """A run of one round, to its last call."""
    gas: dict[str, int] = {}
    run = ready(2, POLICY | {"maxRounds": 1}, {})
    gas["announceEnd"] = run.send(run.operator, "announceEnd")
    run.submit(0)
    run.submit(1)
    run.post(run.aggregator, 2)
    run.pass_time(POLICY["challengeSeconds"])
    gas["finalize_1"] = run.send(run.operator, "finalize")
    gas["withdrawPool"] = run.send(run.operator, "withdrawPool", run.operator.address)
    return gas


def encode(gas: dict[str, int]) -> str:
    """Return the figures as they are stored."""
    return json.dumps(gas, indent=1) + "\n"


if __name__ == "__main__":
    GAS_FILE.write_text(encode(measure()), encoding="utf-8")
