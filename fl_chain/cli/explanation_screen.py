"""A participant's rewards explained on a terminal: the sum last, so that it is what stays in view."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from fl_chain.audit import Explanation
from fl_chain.audit.pool import PoolStatement
from fl_chain.audit.statement import Statement
from fl_chain.audit.terms import RoundTerm
from fl_chain.records import ZERO_ADDRESS, RewardSplit, RoundStatus

_SIGNS = {1: "+", 0: " ", -1: "-"}


def print_explanation(console: Console, explained: Explanation) -> None:
    """Print each term, each other payment, and the equation that they add up to."""
    for line in _lines(explained):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(explained: Explanation) -> Iterator[str]:
    is_native = explained.token == ZERO_ADDRESS
    by_weight = explained.split is RewardSplit.DECLARED_WEIGHT
    yield f"account      {explained.participant}"
    yield f"coin         {'the native coin, in wei' if is_native else f'token {explained.token}'}"
    yield f"policy       {explained.policy}"
    shares = "declared weight" if by_weight else "one share each"
    yield f"split        {shares}: reward // all shares * own shares; the rest is dust, back to the pool"
    for term in explained.terms:
        yield ""
        yield from _term_lines(term, "weight" if by_weight else "included")
    for statement in explained.statements:
        yield ""
        yield from _statement_lines(statement)
    if explained.pool is not None:
        yield ""
        yield from _pool_lines(explained.pool)
    yield ""
    for problem in explained.problems:
        yield f"WRONG  policy: {problem}"
    for term in explained.terms:
        yield from (f"WRONG  round {term.round}: {problem}" for problem in term.problems)
    yield from _missing_lines(explained)
    if explained.terms:
        yield from _sum_lines(explained)


def _term_lines(term: RoundTerm, unit: str) -> Iterator[str]:
    weight = "" if term.weight is None else f", declared weight {term.weight}"
    yield f"round {term.round}  {term.status.name.lower()}: {term.outcome}{weight}"
    if term.blob:
        yield f"  update  {term.blob}"
    if term.share:
        worth = "reward" if term.earned_wei else "will be"
        yield (
            f"  {worth}  {term.reward_wei} // {term.shares} ({_unit(term, unit)}) * {term.share} = "
            f"{term.value_wei}  (dust of the round {term.dust_wei})"
        )
        if term.bonus_wei:
            yield f"  bonus   {term.bonus_wei} of that reward come from bonds that were lost"
    for payment in term.payments:
        yield (
            f"  paid    {payment.amount_wei} to {payment.to} in 0x{payment.transaction_hash.hex()}, "
            f"block {payment.block_number}"
        )
    if term.claimable_wei:
        yield f"  claimable  {term.claimable_wei}"


def _unit(term: RoundTerm, unit: str) -> str:
    return "submitters" if term.status is RoundStatus.VOID else unit


def _statement_lines(statement: Statement) -> Iterator[str]:
    yield f"account {statement.holder}"
    for one in statement.movements:
        where = "" if one.round is None else f" of round {one.round}"
        what = f"{one.what}{where}"
        yield (
            f"  {_SIGNS[one.sign]} {one.amount_wei:<24} {what:<32} block {one.place.block_number}  "
            f"0x{one.place.transaction_hash.hex()}"
        )
    if not statement.is_whole:
        return
    held = statement.held
    yield (
        f"  held now: deposit {statement.deposit_wei}, free bond {held.free_bond_wei}, locked bond "
        f"{held.locked_bond_wei}, unbonding {held.unbonding_wei}, credit {held.credit_wei}"
    )
    sign = "=" if statement.is_right else "IS NOT"
    sums = f"taken out {statement.taken_out_wei} + held {statement.held_wei}"
    yield f"  came in {statement.came_in_wei} {sign} {sums}"


def _pool_lines(pool: PoolStatement) -> Iterator[str]:
    yield "pool"
    yield f"  + {pool.funded_wei:<24} funded"
    if pool.bonds_wei:
        yield f"  + {pool.bonds_wei:<24} lost bonds, in the rewards of their rounds"
    yield f"  - {pool.rewards_wei:<24} rewards of final rounds, without dust"
    yield f"  - {pool.aggregator_rewards_wei:<24} aggregator's rewards of final rounds"
    yield f"  - {pool.reserved_wei:<24} reserved for rounds under way"
    yield f"  - {pool.withdrawn_wei:<24} withdrawn by the operator"
    sign = "=" if pool.is_right else "IS NOT"
    bonds = f" + bonds {pool.bonds_wei}" if pool.bonds_wei else ""
    yield f"  funded {pool.funded_wei}{bonds} {sign} spent {pool.spent_wei} + left {pool.left_wei}"


def _missing_lines(explained: Explanation) -> Iterator[str]:
    if explained.missing_blobs:
        rounds = ", ".join(map(str, explained.missing_blobs))
        yield (
            f"missing: no store has the update of round {rounds}, so whether it could be included rests on "
            "the ledger's word. Ask the participant to publish it again."
        )


def _sum_lines(explained: Explanation) -> Iterator[str]:
    earned = [str(term.earned_wei) for term in explained.terms if term.earned_wei]
    if len(earned) > 1:
        yield f"{' + '.join(earned)} = {explained.earned_wei}"
    is_even = explained.earned_wei == explained.paid_wei + explained.claimable_wei
    yield (
        f"earned {explained.earned_wei} {'=' if is_even else 'IS NOT'} paid {explained.paid_wei} + "
        f"claimable {explained.claimable_wei}"
    )
