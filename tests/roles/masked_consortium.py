"""A consortium whose updates are masked, and whose aggregator may lie about masks."""

from __future__ import annotations

from consortium import Consortium

from fl_chain.aggregation.round import aggregate_round
from fl_chain.commitment.chunks import Lanes
from fl_chain.ledger.account import Account
from fl_chain.run.masked_rounds import unmasking_vectors
from fl_chain.run.unmasking import joined_seeds


class MaskedConsortium(Consortium):
    """A consortium whose aggregator may lie about masks."""

    def post(
        self, round_id: int, poster: Account, seeds: list[bytes], *, wrong_term: int | None = None
    ) -> None:
        """Post a round by seeds that may be wrong, with one term that is wrong in one lane."""
        ledger = self.run.ledger
        ledger.deposit_bond(poster, self.policy.bond_wei)
        ledger.publish_seeds(poster, round_id, seeds)
        history = self.history
        submissions, masks = history.submissions[round_id], history.round_masks(round_id)
        # What a wrong seed gives is as wrong, whoever derives it.
        right = joined_seeds(history, self.store, round_id)
        owners = masks.stayed(submissions) + masks.departed(submissions)
        terms = list(unmasking_vectors(history, round_id, dict(zip(owners, right, strict=True))))
        if wrong_term is not None:
            terms[wrong_term] = terms[wrong_term].copy()
            terms[wrong_term][0] += 1
        updates = [self.masked_update(one.round, one.index) for one in submissions]
        base = self.store.read_model(history.base_model_roots[round_id], history.definition.dimension)
        weight = sum(one.weight for one in submissions)
        made = aggregate_round(base, updates, weight, history.policy.quantisation, terms=terms)
        for root, hashes in zip(made.partial_sum_roots, made.chunk_hashes, strict=True):
            self.store.write_sum(root, hashes)
        self.store.write_model(made.model_root, made.model)
        ledger.post(
            poster,
            round=round_id,
            digest=history.rounds[round_id].digest,
            exclusions=[],
            partial_sum_roots=made.partial_sum_roots,
            model_root=made.model_root,
        )

    def masked_update(self, round_id: int, index: int) -> Lanes:
        """Return a published update."""
        history = self.history
        one = history.submissions[round_id][index]
        return self.store.read_update(
            one.participant,
            one.sealed_root,
            history.definition.dimension,
            run=history.run,
            round=round_id,
        ).lanes
