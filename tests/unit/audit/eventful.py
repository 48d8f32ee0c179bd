"""A run on a real contract in which every event of the ledger happens."""

from __future__ import annotations

from deployed_runs import Run

from fl_chain.records import ExclusionReason


def play_everything(run: Run) -> None:
    """Let everything happen once at least; five participants are registered and the first round is open."""
    ledger, policy = run.ledger, run.policy
    people = run.participants
    ledger.admit(run.operator, people[5].address, 7)
    ledger.suspend(run.operator, people[5].address)
    ledger.deposit_bond(run.stranger, 20_000)
    ledger.change_payout(people[0], people[1].address)
    ledger.request_signer_rotation(people[1], run.stranger.address)
    ledger.request_signer_rotation(people[1], people[1].address)
    ledger.request_signer_rotation(people[1], people[6].address)
    _fall_by_challenge(run)
    fallen = _fall_by_objections(run)
    run.wait(policy.publication_s)
    run.post(fallen, excluded=[(1, ExclusionReason.UNREADABLE)])
    ledger.suspend(run.operator, people[4].address)
    latest = ledger.sync().state.latest
    for number in (0, 1):
        run.submit(number)
    run.wait(policy.submission_s)
    ledger.close_round(run.stranger, latest)
    run.wait(policy.posting_s + policy.takeover_s)
    ledger.void_round(run.stranger, latest)
    run.wait(policy.challenge_s)
    ledger.finalize(run.stranger)
    ledger.leave(people[3])
    ledger.admit(run.operator, people[4].address, 20)
    for participant in (people[0], people[2]):
        history = ledger.sync()
        ledger.claim(run.stranger, participant.address, history.unclaimed_rewards(participant.address))
    ledger.request_bond(run.stranger, 100)
    run.wait(policy.unbonding_s)
    ledger.rotate_signer(people[6], people[1].address)
    ledger.withdraw(run.stranger, run.stranger.address)
    _end(run)


def _fall_by_challenge(run: Run) -> None:
    for number in (0, 1, 3):
        run.submit(number)
    proof = run.submit_beyond_bounds(2)
    run.submit(4)
    run.post(1)
    run.ledger.challenge(run.stranger, 1, proof)
    run.wait(run.policy.publication_s)
    run.post(1, excluded=[(3, ExclusionReason.OUT_OF_RANGE)], account=run.stranger)


def _fall_by_objections(run: Run) -> int:
    latest = run.ledger.sync().state.latest
    for number in range(5):
        run.submit(number)
    run.post(latest, account=run.stranger)
    for number in (0, 1, 3):
        run.object(latest, number)
    return latest


def _end(run: Run) -> None:
    ledger, policy = run.ledger, run.policy
    ledger.announce_end(run.operator)
    run.wait(policy.submission_s)
    latest = ledger.sync().state.latest
    if ledger.sync().rounds[latest].status.name == "OPEN":
        ledger.close_round(run.stranger, latest)
    run.wait(policy.challenge_s)
    ledger.finalize(run.stranger)
    ledger.withdraw_pool(run.operator, run.stranger.address)
