"""The gas of masked rounds: what participants and aggregator send beside, or instead of, the plain calls."""

from __future__ import annotations

from masked_run import MASKED_POLICY, MaskedRound, MaskedRun, secret

from fl_chain.commitment.tree import vector_root
from fl_chain.masking.graph import COMPLETE_UP_TO
from fl_chain.masking.keys import public_key

MEMBERS = 16
ETHER = 10**18


def measure_masks() -> dict[str, int]:
    """Return the gas of each call; ``_masked`` marks a call that the plain ledger has too.

    The first round is not measured: in later ones a participant's slots are in use already.
    """
    run = MaskedRun(dict(MASKED_POLICY))
    gas = {"deploy_masked": run.deployment_gas}
    run.participants(MEMBERS)
    gas["setIdentityKey"] = newcomer(run)
    first = MaskedRound(run, MEMBERS)
    first.set_up_together(range(MEMBERS))
    for index in range(MEMBERS):
        first.submit(index)
    aggregated(first, "")

    apart = MaskedRound(run, MEMBERS, id=2)
    gas["setUpKeys"] = max([apart.set_up(index) for index in range(MEMBERS)][1:])
    gas["submit_masked"] = max(apart.submit(index) for index in range(MEMBERS - 1))
    gas["submit_masked_closing"] = apart.submit(MEMBERS - 1)
    gas |= aggregated(apart, f"_{MEMBERS}")

    gas["drawGraph"] = drawn()
    together = MaskedRound(run, MEMBERS, id=3)
    gas[f"setUpKeysOf_{MEMBERS}"] = together.set_up_together(range(MEMBERS))
    for index in range(MEMBERS):
        together.submit(index)
    return gas | challenged(together)


def newcomer(run: MaskedRun) -> int:
    """Return what an identity key costs; whoever sets it is not expected in a round afterwards."""
    worker = run.worker(MEMBERS)
    run.send(run.operator, "admit", worker.address, 1000)
    used = run.mask(worker, "setIdentityKey", public_key(secret(MEMBERS, "identity")))
    run.send(run.operator, "suspend", worker.address)
    return used


def drawn() -> int:
    """Return what the graph of a round costs, which the fewest participants have that do not do without."""
    run = MaskedRun(dict(MASKED_POLICY))
    run.participants(COMPLETE_UP_TO + 1)
    return run.mask(run.aggregator, "drawGraph", 1)


def aggregated(current: MaskedRound, size: str) -> dict[str, int]:
    """Fix, publish and post a closed round, and return what each call cost."""
    run = current.run
    gas = {f"fixSurvivors{size}": current.fix()}
    listed, total, _ = current.posting()
    gas[f"publishSeeds{size}"] = run.mask(run.aggregator, "publishSeeds", current.id, current.seeds())
    model = current.model(total)
    gas[f"post_masked{size}"] = current.post(listed, vector_root(model))
    run.genesis = model
    return gas


def challenged(current: MaskedRound) -> dict[str, int]:
    """Leave one out, post lies, and return what it costs: for a seed, for an own mask and for a pair's."""
    run = current.run
    run.pass_time(run.policy["publicationSeconds"])
    size = f"_{MEMBERS}_without_1"
    gas = {f"fixSurvivors{size}": current.fix((2,))}
    listed, total, terms = current.posting()
    model = vector_root(current.model(total))
    seeds = current.seeds()

    lie = [bytes(16), *seeds[1:]]
    gas[f"publishSeeds{size}"] = run.mask(run.aggregator, "publishSeeds", current.id, lie)
    gas[f"post_masked{size}"] = current.post(listed, model)
    gas["challengeSeed"] = run.send(run.operator, "challengeSeed", current.id, current.seed_proof(0, lie))
    for figure, number in (("challengeMask_own", 0), ("challengeMask_pair", len(terms) - 1)):
        run.pass_time(run.policy["publicationSeconds"])
        poster = run.account(figure)
        run.send(poster, "depositBond", ETHER, value=ETHER)
        wrong = terms[number].copy()
        wrong[0] += 1
        changed = [*listed[:number], vector_root(wrong), *listed[number + 1 :]]
        run.mask(poster, "publishSeeds", current.id, seeds)
        current.post(changed, model, poster)
        proof = current.mask_proof(number, 0, changed, wrong)
        gas[figure] = run.send(run.operator, "challengeMask", current.id, proof)
    return gas
