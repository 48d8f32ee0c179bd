"""Deploying a run: documents and first model into the store, then the contract, admissions and funds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fl_chain.aggregation.quantise import model_lanes
from fl_chain.commitment.canonical import document_hash
from fl_chain.commitment.tree import vector_root
from fl_chain.config import FileTaskSettings, RunSettings
from fl_chain.errors import ConfigError
from fl_chain.hiding import with_members
from fl_chain.learning import ModelDefinition, build_task, task_file_digest
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.node import Node
from fl_chain.ledger.token import Token
from fl_chain.policy import RunPolicy, policy_document, run_policy, with_cohort_size
from fl_chain.records import ZERO_ADDRESS, Address, RunDefinition
from fl_chain.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeployedRun:
    """A run that participants can register for."""

    ledger: Ledger
    deployed_block: int
    definition: RunDefinition
    policy: RunPolicy


def deploy_run(
    settings: RunSettings,
    *,
    node: Node,
    operator: Account,
    store: Store,
    aggregator: Address,
    weight_caps: Mapping[Address, int],
    funding_wei: int,
    token: Address = ZERO_ADDRESS,
) -> DeployedRun:
    """Publish what is trained, deploy its ledger, fund and admit.

    Args:
        settings: the operator's choices.
        node: where to deploy.
        operator: signs, and is the run's operator.
        store: takes policy, manifest and first model.
        aggregator: who may post first.
        weight_caps: the participants to admit, each with its largest weight.
        funding_wei: what goes into the pool.
        token: the ERC-20 token that every amount is in; zero for the native coin.

    Raises:
        ConfigError: if the settings are out of bounds, or the token is none; nothing was deployed then.
        ModelError: if the first model cannot be represented.
        LedgerError: if the chain refuses.
    """
    policy = planned_policy(settings, weight_caps)
    if token != ZERO_ADDRESS:
        _verify_token(Token(node, token), operator.address, funding_wei)
    definition = publish_run(policy, store)
    deployed = deploy(
        node,
        operator,
        definition,
        policy.ledger,
        aggregator=aggregator,
        token=token,
        groups=policy.groups,
    )
    ledger = Ledger.open(node, deployed.address)
    # The first payment shows whether the ledger takes the token at all.
    if funding_wei:
        ledger.fund(operator, funding_wei)
    for participant, weight_cap in weight_caps.items():
        ledger.admit(operator, participant, weight_cap)
    log.info("deployed %s with %d participants admitted", deployed.address, len(weight_caps))
    return DeployedRun(ledger, deployed.block_number, definition, policy)


def planned_policy(settings: RunSettings, weight_caps: Mapping[Address, int]) -> RunPolicy:
    """Return the policy that settings describe for the participants that are to be admitted.

    Raises:
        ConfigError: if the settings are out of bounds, or do not fit so many participants.
    """
    named = with_members(_with_task_hash(settings), weight_caps)
    policy = run_policy(with_cohort_size(named, len(weight_caps)))
    _verify_caps(weight_caps, policy)
    return policy


def _with_task_hash(settings: RunSettings) -> RunSettings:
    if not isinstance(settings.task, FileTaskSettings):
        return settings
    sha256 = task_file_digest(Path(settings.task.path)).hex()
    return settings.model_copy(update={"task": settings.task.model_copy(update={"sha256": sha256})})


def _verify_caps(weight_caps: Mapping[Address, int], policy: RunPolicy) -> None:
    for participant, weight_cap in weight_caps.items():
        if policy.ledger.highest_weight_cap == 1 and weight_cap != 1:
            raise ConfigError(
                f"the weight cap of {participant} is {weight_cap}: the rule {policy.rule.name!r} weighs all "
                "alike, so every cap is 1"
            )
        if not 1 <= weight_cap <= policy.ledger.max_total_weight:
            raise ConfigError(
                f"the weight cap of {participant} is {weight_cap}: "
                f"it lies between 1 and max_total_weight, {policy.ledger.max_total_weight}"
            )
    total = sum(weight_caps.values())
    if total > policy.ledger.max_total_weight:
        raise ConfigError(
            f"the weight caps sum to {total}, more than max_total_weight, {policy.ledger.max_total_weight}: "
            "a full round would refuse its last participants. Lower the caps, or raise examples_per_weight."
        )


def _verify_token(token: Token, operator: Address, funding_wei: int) -> None:
    token.verify_token()
    held = token.balance(operator)
    if held < funding_wei:
        raise ConfigError(
            f"the operator {operator} holds {held} of the token {token.address}, and the pool takes "
            f"{funding_wei}: send it the difference, or lower --fund"
        )


def publish_run(policy: RunPolicy, store: Store) -> RunDefinition:
    """Put policy, manifest and first model into a store, and return what a ledger is deployed with.

    Raises:
        ModelError: if the first model cannot be represented.
        StoreError: if the store does not take them.
    """
    model = ModelDefinition(build_task(policy.task, policy.model), seed=policy.seed, training=policy.training)
    genesis = model_lanes(model.genesis_values(), policy.ledger.fraction_bits)
    root = vector_root(genesis)
    document, manifest = policy_document(policy), model.manifest.to_json()
    store.write_document(document)
    store.write_document(manifest)
    store.write_model(root, genesis)
    return RunDefinition(
        policy_hash=document_hash(document),
        manifest_hash=document_hash(manifest),
        genesis_model_root=root,
        dimension=model.manifest.dimension,
    )
