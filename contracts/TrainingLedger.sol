// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import { ChallengeVerifier } from "./ChallengeVerifier.sol";
import {
    Account,
    AggregationKind,
    ApplyProof,
    Claim,
    Exclusion,
    FallReason,
    ITrainingLedger,
    Participant,
    Policy,
    Posting,
    RangeProof,
    RewardSplit,
    Round,
    RoundStatus,
    RunDefinition,
    RunState,
    SumProof,
    VoidReason
} from "./interfaces/ITrainingLedger.sol";
import { PartialSums } from "./libraries/PartialSums.sol";
import { Seals } from "./libraries/Seals.sol";

/// @title LedgerBase
/// @notice The ledger of one training run, but for what decides its challenges.
/// @dev Every hash is SHA-256 over the bytes that the protocol lists, big-endian.
abstract contract LedgerBase is ITrainingLedger, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev A signing key's hot slot: all that a submission reads or writes of its participant, in one word.
    struct Seat {
        address participant;
        uint32 weightCap;
        uint32 lastSeen;
        uint32 barredFrom;
    }

    /// @dev What a participant's submissions never touch.
    struct Record {
        address signer;
        bool admitted;
        bool left;
        address payout;
        uint128 depositWei;
        address requestedSigner;
        uint40 rotationDueAt;
    }

    /// @dev `Seat.barredFrom` of a participant in good standing.
    uint32 private constant NEVER = type(uint32).max;
    uint8 private constant REASON_OUT_OF_RANGE = 2;
    uint8 private constant REASON_BY_RULE = 3;

    /// @inheritdoc ITrainingLedger
    address public immutable operator;
    /// @inheritdoc ITrainingLedger
    address public immutable token;
    /// @inheritdoc ITrainingLedger
    address public immutable verifier;

    uint64 private immutable CHAIN_ID;

    bytes32 private immutable POLICY_HASH;
    bytes32 private immutable MANIFEST_HASH;
    bytes32 private immutable GENESIS_MODEL_ROOT;
    uint64 private immutable DIMENSION;

    uint8 private immutable FRACTION_BITS;
    uint8 private immutable SCALE_BITS;
    uint32 private immutable CLIP_LANES;
    uint32 private immutable MAX_TOTAL_WEIGHT;
    uint16 private immutable QUORUM;
    uint16 private immutable CLOSE_AT;
    uint32 private immutable MAX_ROUNDS;
    uint16 private immutable MAX_UNFINAL_ROUNDS;
    uint32 private immutable SUBMISSION_SECONDS;
    uint32 private immutable PUBLICATION_SECONDS;
    uint32 private immutable POSTING_SECONDS;
    uint32 private immutable TAKEOVER_SECONDS;
    uint32 private immutable CHALLENGE_SECONDS;
    uint32 private immutable UNBONDING_SECONDS;
    uint128 private immutable REWARD_WEI;
    uint128 private immutable AGGREGATOR_REWARD_WEI;
    uint128 private immutable BOND_WEI;
    uint128 private immutable CHALLENGE_REWARD_WEI;
    uint128 private immutable DEPOSIT_WEI;
    RewardSplit private immutable REWARD_SPLIT;
    AggregationKind internal immutable AGGREGATION;
    uint64 private immutable RHO_MICRO_PER_ROUND;
    uint64 private immutable RHO_MICRO_BUDGET;
    /// @dev Of a participant's weight: where a weight has no meaning everybody's is 1.
    uint32 private immutable HIGHEST_CAP;

    RunState private _state;
    /// @dev Identities ever admitted: all counters of participants are at most this, so that 16 bits hold them.
    uint16 private _identities;

    mapping(address signer => Seat) private _seats;
    mapping(address participant => Record) private _records;
    mapping(address account => Account) private _accounts;

    /// @dev Round 0 is genesis: never opened, its `returning` is what the first round expects.
    mapping(uint256 round => Round) private _rounds;
    mapping(uint256 round => bytes32) private _digests;
    mapping(uint256 round => bytes32) private _modelRoots;
    mapping(uint256 round => bytes32) private _sumsHashes;
    mapping(uint256 round => Posting) private _postings;
    mapping(uint256 round => mapping(uint256 index => bytes32)) private _leaves;
    /// @dev By round and posting number, so that a new posting starts with nothing excluded.
    mapping(uint256 round => mapping(uint256 postingNumber => mapping(uint256 word => uint256))) private _excluded;
    mapping(uint256 round => mapping(uint256 word => uint256)) private _claimed;
    /// @dev Of a round that never fell there is none, and nothing in the next three mappings.
    mapping(uint256 round => uint128 amountWei) private _bonuses;
    mapping(uint256 round => mapping(address poster => bool)) private _barred;
    mapping(uint256 round => mapping(uint256 postingNumber => uint16)) private _objections;
    mapping(uint256 round => mapping(uint256 postingNumber => mapping(uint256 word => uint256))) private _objected;

    modifier onlyOperator() {
        if (msg.sender != operator) revert NotOperator(msg.sender);
        _;
    }

    /// @param runDefinition what is trained.
    /// @param runPolicy the rules; every bound in its documentation is checked.
    /// @param aggregator who may post first.
    /// @param runToken the ERC-20 token that all amounts are in; zero for the native coin.
    /// @param judge what decides challenges.
    constructor(
        RunDefinition memory runDefinition,
        Policy memory runPolicy,
        address aggregator,
        address runToken,
        address judge
    ) {
        if (aggregator == address(0)) revert ZeroAddress();
        _checkDefinition(runDefinition);
        _checkArithmetic(runPolicy);
        _checkRounds(runPolicy);
        _checkPeriods(runPolicy);
        _checkBound(
            runPolicy.challengeRewardWei <= runPolicy.bondWei / 10, "challengeRewardWei", runPolicy.challengeRewardWei
        );
        _checkBound(
            runPolicy.rhoMicroPerRound <= runPolicy.rhoMicroBudget, "rhoMicroPerRound", runPolicy.rhoMicroPerRound
        );

        operator = msg.sender;
        token = runToken;
        verifier = judge;
        CHAIN_ID = uint64(block.chainid);

        POLICY_HASH = runDefinition.policyHash;
        MANIFEST_HASH = runDefinition.manifestHash;
        GENESIS_MODEL_ROOT = runDefinition.genesisModelRoot;
        DIMENSION = runDefinition.dimension;

        FRACTION_BITS = runPolicy.fractionBits;
        SCALE_BITS = runPolicy.scaleBits;
        CLIP_LANES = runPolicy.clipLanes;
        MAX_TOTAL_WEIGHT = runPolicy.maxTotalWeight;
        QUORUM = runPolicy.quorum;
        CLOSE_AT = runPolicy.closeAt;
        MAX_ROUNDS = runPolicy.maxRounds;
        MAX_UNFINAL_ROUNDS = runPolicy.maxUnfinalRounds;
        SUBMISSION_SECONDS = runPolicy.submissionSeconds;
        PUBLICATION_SECONDS = runPolicy.publicationSeconds;
        POSTING_SECONDS = runPolicy.postingSeconds;
        TAKEOVER_SECONDS = runPolicy.takeoverSeconds;
        CHALLENGE_SECONDS = runPolicy.challengeSeconds;
        UNBONDING_SECONDS = runPolicy.unbondingSeconds;
        REWARD_WEI = runPolicy.rewardWei;
        AGGREGATOR_REWARD_WEI = runPolicy.aggregatorRewardWei;
        BOND_WEI = runPolicy.bondWei;
        CHALLENGE_REWARD_WEI = runPolicy.challengeRewardWei;
        DEPOSIT_WEI = runPolicy.depositWei;
        REWARD_SPLIT = runPolicy.rewardSplit;
        AGGREGATION = runPolicy.aggregation;
        RHO_MICRO_PER_ROUND = runPolicy.rhoMicroPerRound;
        RHO_MICRO_BUDGET = runPolicy.rhoMicroBudget;
        HIGHEST_CAP = runPolicy.aggregation == AggregationKind.Result ? 1 : runPolicy.maxTotalWeight;

        _state.endsAfter = type(uint32).max;
        _state.endsAt = type(uint40).max;
        _state.aggregator = aggregator;
        _modelRoots[0] = runDefinition.genesisModelRoot;

        emit RunDeployed(msg.sender, aggregator, runToken, runDefinition, runPolicy);
    }

    // ------------------------------------------------------------------ operator

    /// @inheritdoc ITrainingLedger
    function fund(uint256 amountWei) external payable nonReentrant {
        if (_isOver()) revert RunEnded();

        _state.poolWei += uint128(amountWei);

        emit PoolFunded(msg.sender, amountWei);

        _receive(amountWei);
    }

    /// @inheritdoc ITrainingLedger
    function admit(address participant, uint32 weightCap) external onlyOperator {
        if (participant == address(0)) revert ZeroAddress();
        if (weightCap == 0 || weightCap > HIGHEST_CAP) revert WeightCapOutOfBounds(weightCap, HIGHEST_CAP);

        Record storage record = _records[participant];
        bool isNew = record.signer == address(0);
        if (isNew) {
            if (_seats[participant].participant != address(0)) revert SignerTaken(participant);
            if (_identities == type(uint16).max) revert TooManyParticipants(_identities);
            _identities++;
            record.signer = participant;
            _seats[participant].participant = participant;
        }

        Seat storage seat = _seats[record.signer];
        if (seat.barredFrom == 0) {
            if (record.admitted) revert AlreadyAdmitted(participant);
            record.left = false;
        } else {
            if (seat.barredFrom == NEVER) revert AlreadyAdmitted(participant);
            if (seat.barredFrom > _state.latest && _rounds[_state.latest].status == RoundStatus.Open) {
                revert SuspensionPending(participant, seat.barredFrom);
            }
            seat.barredFrom = NEVER;
            _state.registered++;
        }
        record.admitted = true;
        seat.weightCap = weightCap;
        _countIn(seat);

        emit ParticipantAdmitted(participant, weightCap);
    }

    /// @inheritdoc ITrainingLedger
    function suspend(address participant) external onlyOperator {
        Record storage record = _records[participant];
        if (record.signer == address(0)) revert NotAdmitted(participant);
        if (!record.admitted) revert AlreadySuspended(participant);

        Seat storage seat = _seats[record.signer];
        uint32 fromRound = _state.latest + 1;
        record.admitted = false;
        if (seat.barredFrom != 0) {
            seat.barredFrom = fromRound;
            _state.registered--;
        }

        emit ParticipantSuspended(participant, fromRound);

        if (!record.left) _countOut(seat);
    }

    /// @inheritdoc ITrainingLedger
    function announceEnd() external onlyOperator {
        if (_state.endsAfter != type(uint32).max) revert EndAlreadyAnnounced();

        uint32 endsAfter = _state.latest + 1;
        uint40 endsAt = uint40(block.timestamp) + SUBMISSION_SECONDS;
        _state.endsAfter = endsAfter;
        _state.endsAt = endsAt;

        emit EndAnnounced(endsAfter, endsAt);
    }

    /// @inheritdoc ITrainingLedger
    function withdrawPool(address to) external onlyOperator nonReentrant {
        if (to == address(0)) revert ZeroAddress();
        if (!hasEnded()) revert RunNotEnded();
        uint256 amountWei = _state.poolWei;
        if (amountWei == 0) revert NothingToWithdraw(msg.sender);

        _state.poolWei = 0;

        emit PoolWithdrawn(to, amountWei);

        _pay(to, amountWei);
    }

    // ------------------------------------------------------------------ participant

    /// @inheritdoc ITrainingLedger
    function register(address payout) external payable nonReentrant {
        Seat storage seat = _seats[msg.sender];
        address participant = seat.participant;
        Record storage record = _records[participant];
        if (seat.barredFrom != 0) revert AlreadyRegistered(participant);
        if (!record.admitted) revert NotAdmitted(msg.sender);
        if (payout == address(0)) revert ZeroAddress();

        bool isCounted = !record.left && seat.lastSeen >= _state.lastClosed;
        record.payout = payout;
        record.depositWei = DEPOSIT_WEI;
        record.left = false;
        seat.barredFrom = NEVER;
        _state.registered++;
        if (!isCounted) _countIn(seat);

        emit ParticipantRegistered(participant, payout, DEPOSIT_WEI);

        _receive(DEPOSIT_WEI);
    }

    /// @inheritdoc ITrainingLedger
    function changePayout(address payout) external {
        (address participant, Record storage record) = _registeredOnce(msg.sender);
        if (payout == address(0)) revert ZeroAddress();

        record.payout = payout;

        emit PayoutChanged(participant, payout);
    }

    /// @inheritdoc ITrainingLedger
    function requestSignerRotation(address signer) external {
        (address participant, Record storage record) = _registeredOnce(msg.sender);
        if (signer == address(0)) revert ZeroAddress();
        bool isCancelled = signer == msg.sender;
        if (!isCancelled) _checkSignerFree(signer, participant);

        uint40 dueAt = isCancelled ? 0 : uint40(block.timestamp) + UNBONDING_SECONDS;
        record.requestedSigner = isCancelled ? address(0) : signer;
        record.rotationDueAt = dueAt;

        emit SignerRotationRequested(participant, signer, dueAt);
    }

    /// @inheritdoc ITrainingLedger
    function rotateSigner(address participant) external {
        Record storage record = _records[participant];
        address signer = record.requestedSigner;
        if (signer == address(0)) revert NoRotationPending(participant);
        if (msg.sender != signer) revert NotRequestedSigner(msg.sender, signer);
        if (block.timestamp < record.rotationDueAt) revert RotationNotDue(record.rotationDueAt);
        _checkSignerFree(signer, participant);

        address previousSigner = record.signer;
        _seats[signer] = _seats[previousSigner];
        delete _seats[previousSigner];
        record.signer = signer;
        record.requestedSigner = address(0);
        record.rotationDueAt = 0;

        emit SignerRotated(participant, previousSigner, signer);
    }

    /// @inheritdoc ITrainingLedger
    function leave() external {
        Seat storage seat = _seats[msg.sender];
        bool isSuspended = seat.barredFrom != NEVER;
        if (seat.barredFrom == 0) revert NotRegistered(msg.sender);

        address participant = seat.participant;
        Record storage record = _records[participant];
        uint128 depositWei = record.depositWei;
        record.depositWei = 0;
        record.left = true;
        seat.barredFrom = 0;
        if (!isSuspended) _state.registered--;
        _unbond(_accounts[participant], depositWei);

        emit ParticipantLeft(participant, depositWei);

        if (!isSuspended) _countOut(seat);
    }

    // ------------------------------------------------------------------ rounds

    /// @inheritdoc ITrainingLedger
    function openRound() external {
        _settleIfFull();
        bytes memory obstacle = _obstacle();
        if (obstacle.length != 0) {
            assembly ("memory-safe") {
                revert(add(obstacle, 32), mload(obstacle))
            }
        }

        _open();
    }

    /// @inheritdoc ITrainingLedger
    function submit(uint32 round, bytes32 baseModelRoot, bytes32 sealedRoot, uint32 weight) external {
        Seat storage seat = _seats[msg.sender];
        Seat memory seated = seat;
        if (seated.barredFrom == 0) revert NotRegistered(msg.sender);
        if (seated.barredFrom <= round) revert ParticipantSuspendedFrom(seated.participant, seated.barredFrom);
        Round memory current = _roundAt(round);
        if (current.status != RoundStatus.Open) revert WrongStatus(round, current.status);
        uint40 deadline = current.since + SUBMISSION_SECONDS;
        if (block.timestamp >= deadline) revert DeadlinePassed(round, deadline);
        if (seated.lastSeen == round) revert AlreadySubmitted(round, seated.participant);
        bytes32 expectedRoot = _modelRoots[current.baseRound];
        if (baseModelRoot != expectedRoot) revert WrongBaseModel(baseModelRoot, expectedRoot);
        if (weight == 0 || weight > seated.weightCap) revert WeightOutOfBounds(weight, seated.weightCap);
        uint256 totalWeight = uint256(current.totalWeight) + weight;
        if (totalWeight > MAX_TOTAL_WEIGHT) revert TotalWeightExceeded(totalWeight, MAX_TOTAL_WEIGHT);
        _beforeSubmission(round, seated.participant);

        uint16 index = current.submissions;
        bytes32 leaf = Seals.leaf(sealedRoot, weight, seated.participant);
        bytes32 digest = sha256(abi.encodePacked(bytes1(0x07), _digests[round], leaf));
        _leaves[round][index] = leaf;
        _digests[round] = digest;
        seat.lastSeen = round;
        current.submissions = index + 1;
        current.totalWeight = uint32(totalWeight);
        if (seated.barredFrom == NEVER) {
            if (seated.lastSeen >= current.lastClosed) current.remaining--;
            current.returning++;
        }

        emit UpdateSubmitted(round, seated.participant, index, weight, sealedRoot);

        if (_isComplete(current)) _close(round, current, digest);
        _store(round, current);
    }

    /// @inheritdoc ITrainingLedger
    function closeRound(uint32 round) external {
        Round memory current = _roundAt(round);
        if (current.status != RoundStatus.Open) revert WrongStatus(round, current.status);
        uint40 deadline = current.since + SUBMISSION_SECONDS;
        if (block.timestamp < deadline) revert DeadlineNotPassed(round, deadline);

        if (current.submissions >= QUORUM) {
            _close(round, current, _digests[round]);
            _store(round, current);
        } else {
            _voidActive(round, current, VoidReason.BelowQuorum);
        }
    }

    /// @inheritdoc ITrainingLedger
    function post(
        uint32 round,
        bytes32 digest,
        Exclusion[] calldata exclusions,
        bytes32[] calldata partialSumRoots,
        bytes32 resultRoot,
        bytes32 stateRoot,
        bytes32 modelRoot
    ) external {
        Round memory current = _roundAt(round);
        _checkPostable(round, current, digest, exclusions.length);
        AggregationKind kind = AGGREGATION;
        uint256 expectedSums = _beforePosting(round, current.submissions, exclusions);
        bool hasResult = expectedSums == 0;
        if (partialSumRoots.length != expectedSums) revert WrongPartialSumCount(partialSumRoots.length, expectedSums);
        if (hasResult == (resultRoot == 0) || (kind == AggregationKind.SumsWithState) == (stateRoot == 0)) {
            revert WrongRoots(kind, resultRoot, stateRoot);
        }
        Account storage account = _accounts[msg.sender];
        if (account.freeBondWei < BOND_WEI) revert BondTooSmall(account.freeBondWei, BOND_WEI);
        Posting memory posting = _exclude(round, current, exclusions);

        account.freeBondWei -= BOND_WEI;
        account.lockedBondWei += BOND_WEI;
        _postings[round] = posting;
        _sumsHashes[round] = Seals.sumsHash(partialSumRoots);
        _modelRoots[round] = modelRoot;
        current.status = RoundStatus.Posted;
        current.since = uint40(block.timestamp);
        _store(round, current);
        _state.tip = round;
        _state.active = 0;

        emit RoundPosted(
            round,
            current.postingNumber,
            msg.sender,
            modelRoot,
            resultRoot,
            stateRoot,
            posting.included,
            posting.includedWeight,
            posting.finalizableAt,
            exclusions,
            partialSumRoots
        );

        if (msg.sender != _state.aggregator) {
            _state.aggregator = msg.sender;
            emit AggregatorNamed(msg.sender);
        }
        _openIfPossible();
    }

    /// @inheritdoc ITrainingLedger
    function voidRound(uint32 round) external {
        Round memory current = _roundAt(round);
        if (current.status != RoundStatus.Closed) revert WrongStatus(round, current.status);
        uint40 deadline = _postingDeadline(current);
        if (block.timestamp < deadline) revert DeadlineNotPassed(round, deadline);

        _voidActive(round, current, VoidReason.NotPosted);
    }

    /// @inheritdoc ITrainingLedger
    function finalize() external {
        uint32 settled = _state.settled;
        if (_settle(_state.latest) == settled) revert NothingToFinalize(settled);
    }

    // ------------------------------------------------------------------ challenges

    /// @inheritdoc ITrainingLedger
    function challengeSum(uint32 round, SumProof calldata) external virtual {
        _challenge(round, FallReason.Sum);
    }

    /// @inheritdoc ITrainingLedger
    function challengeRange(uint32 round, RangeProof calldata) external {
        _challenge(round, FallReason.Range);
    }

    /// @inheritdoc ITrainingLedger
    function challengeApply(uint32 round, ApplyProof calldata) external {
        if (AGGREGATION != _kindOfSums()) revert NoSuchChallenge(AGGREGATION);

        _challenge(round, FallReason.Apply);
    }

    /// @inheritdoc ITrainingLedger
    function object(uint32 round, bytes32 modelRoot, uint16 index, uint32 weight, bytes32 sealedRoot) external {
        Round memory current = _challengeable(round);
        if (modelRoot != _modelRoots[round]) revert WrongModel(modelRoot, _modelRoots[round]);
        address participant = _seats[msg.sender].participant;
        _checkLeaf(round, index, sealedRoot, weight, participant);
        uint16 postingNumber = current.postingNumber;
        mapping(uint256 word => uint256) storage bits = _objected[round][postingNumber];
        if (_isSet(bits, index)) revert AlreadyObjected(round, participant);

        _set(bits, index);
        uint16 objections = ++_objections[round][postingNumber];

        emit PostingObjected(round, postingNumber, participant, objections);

        if (uint256(objections) * 2 > current.submissions) _fall(round, current, FallReason.Objections);
    }

    // ------------------------------------------------------------------ money

    /// @inheritdoc ITrainingLedger
    function depositBond(uint256 amountWei) external payable nonReentrant {
        _accounts[msg.sender].freeBondWei += uint128(amountWei);

        emit BondDeposited(msg.sender, amountWei);

        _receive(amountWei);
    }

    /// @inheritdoc ITrainingLedger
    function requestBond(uint256 amountWei) external {
        Account storage account = _accounts[msg.sender];
        if (amountWei == 0) revert NothingToWithdraw(msg.sender);
        if (amountWei > account.freeBondWei) revert BondTooSmall(account.freeBondWei, amountWei);

        account.freeBondWei -= uint128(amountWei);
        _unbond(account, uint128(amountWei));

        emit BondRequested(msg.sender, amountWei, account.releasableAt);
    }

    /// @inheritdoc ITrainingLedger
    function withdraw(address account) external nonReentrant {
        Account storage held = _accounts[account];
        _releaseDue(held);
        uint256 amountWei = held.creditWei;
        if (amountWei == 0) revert NothingToWithdraw(account);

        address payout = _records[account].payout;
        address to = payout == address(0) ? account : payout;
        held.creditWei = 0;

        emit Withdrawn(account, to, amountWei);

        _pay(to, amountWei);
    }

    /// @inheritdoc ITrainingLedger
    function claim(address participant, Claim[] calldata claims) external nonReentrant {
        address to = _records[participant].payout;
        if (to == address(0)) revert NotRegistered(participant);

        if (claims.length == 0) revert NothingToWithdraw(participant);

        uint256 totalWei;
        for (uint256 i; i < claims.length; ++i) {
            totalWei += _claimOne(participant, to, claims[i]);
        }

        _pay(to, totalWei);
    }

    // ------------------------------------------------------------------ reading

    /// @inheritdoc ITrainingLedger
    function definition() external view returns (RunDefinition memory) {
        return RunDefinition(POLICY_HASH, MANIFEST_HASH, GENESIS_MODEL_ROOT, DIMENSION);
    }

    /// @inheritdoc ITrainingLedger
    function policy() external view returns (Policy memory rules) {
        rules.fractionBits = FRACTION_BITS;
        rules.scaleBits = SCALE_BITS;
        rules.clipLanes = CLIP_LANES;
        rules.maxTotalWeight = MAX_TOTAL_WEIGHT;
        rules.quorum = QUORUM;
        rules.closeAt = CLOSE_AT;
        rules.maxRounds = MAX_ROUNDS;
        rules.maxUnfinalRounds = MAX_UNFINAL_ROUNDS;
        rules.submissionSeconds = SUBMISSION_SECONDS;
        rules.publicationSeconds = PUBLICATION_SECONDS;
        rules.postingSeconds = POSTING_SECONDS;
        rules.takeoverSeconds = TAKEOVER_SECONDS;
        rules.challengeSeconds = CHALLENGE_SECONDS;
        rules.unbondingSeconds = UNBONDING_SECONDS;
        rules.rewardWei = REWARD_WEI;
        rules.aggregatorRewardWei = AGGREGATOR_REWARD_WEI;
        rules.bondWei = BOND_WEI;
        rules.challengeRewardWei = CHALLENGE_REWARD_WEI;
        rules.depositWei = DEPOSIT_WEI;
        rules.rewardSplit = REWARD_SPLIT;
        rules.aggregation = AGGREGATION;
        rules.rhoMicroPerRound = RHO_MICRO_PER_ROUND;
        rules.rhoMicroBudget = RHO_MICRO_BUDGET;
    }

    /// @inheritdoc ITrainingLedger
    function runState() external view returns (RunState memory) {
        return _state;
    }

    /// @inheritdoc ITrainingLedger
    function hasEnded() public view returns (bool) {
        return _state.settled == _state.latest && _isOver();
    }

    /// @inheritdoc ITrainingLedger
    function roundOf(uint32 round) external view returns (Round memory) {
        return _roundAt(round);
    }

    /// @inheritdoc ITrainingLedger
    function digestOf(uint32 round) external view returns (bytes32) {
        return _digests[round];
    }

    /// @inheritdoc ITrainingLedger
    function modelRootOf(uint32 round) external view returns (bytes32) {
        return _modelRoots[round];
    }

    /// @inheritdoc ITrainingLedger
    function sumsHashOf(uint32 round) external view returns (bytes32) {
        return _sumsHashes[round];
    }

    /// @inheritdoc ITrainingLedger
    function postingOf(uint32 round) external view returns (Posting memory) {
        return _postings[round];
    }

    /// @inheritdoc ITrainingLedger
    function leafOf(uint32 round, uint16 index) external view returns (bytes32) {
        return _leafAt(round, index);
    }

    /// @inheritdoc ITrainingLedger
    function isExcluded(uint32 round, uint16 index) public view returns (bool) {
        return _isSet(_excluded[round][_rounds[round].postingNumber], index);
    }

    /// @inheritdoc ITrainingLedger
    function bonusOf(uint32 round) external view returns (uint256 bonusWei) {
        return _bonuses[round];
    }

    /// @inheritdoc ITrainingLedger
    function isBarred(uint32 round, address poster) external view returns (bool) {
        return _barred[round][poster];
    }

    /// @inheritdoc ITrainingLedger
    function objectionsTo(uint32 round) external view returns (uint16) {
        return _objections[round][_rounds[round].postingNumber];
    }

    /// @inheritdoc ITrainingLedger
    function hasObjected(uint32 round, uint16 index) external view returns (bool) {
        return _isSet(_objected[round][_rounds[round].postingNumber], index);
    }

    /// @inheritdoc ITrainingLedger
    function isClaimed(uint32 round, uint16 index) external view returns (bool) {
        return _isSet(_claimed[round], index);
    }

    /// @inheritdoc ITrainingLedger
    function participantOf(address participant) external view returns (Participant memory) {
        Record memory record = _records[participant];
        Seat memory seat = _seats[record.signer];
        return Participant({
            signer: record.signer,
            payout: record.payout,
            weightCap: seat.weightCap,
            lastSeen: seat.lastSeen,
            barredFrom: seat.barredFrom,
            admitted: record.admitted,
            registered: seat.barredFrom != 0,
            depositWei: record.depositWei
        });
    }

    /// @inheritdoc ITrainingLedger
    function identityOf(address signer) external view returns (address) {
        return _seats[signer].participant;
    }

    /// @inheritdoc ITrainingLedger
    function accountOf(address account) external view returns (Account memory) {
        return _accounts[account];
    }

    // ------------------------------------------------------------------ inside: what a masked ledger does otherwise

    /// @dev Reverts where a participant may not submit.
    function _beforeSubmission(uint32 round, address participant) internal virtual { }

    /// @dev A participant is not expected in an open round any more.
    function _beforeDeparture(uint32 round, address participant) internal virtual { }

    /// @dev The kind whose model follows from its partial sums alone.
    function _kindOfSums() internal pure virtual returns (AggregationKind) {
        return AggregationKind.Sums;
    }

    /// @dev How many roots a posting lists; none where it has a result instead.
    function _beforePosting(uint32, uint16 submissions, Exclusion[] calldata) internal view virtual returns (uint256) {
        return AGGREGATION == AggregationKind.Result ? 0 : PartialSums.count(submissions);
    }

    // ------------------------------------------------------------------ inside: who is expected

    /// @dev Expects a participant in the round that is open, else in the next one; one that has submitted to the open
    /// round is not expected there again.
    function _countIn(Seat storage seat) private {
        Round storage latest = _rounds[_state.latest];
        bool isOpen = latest.status == RoundStatus.Open;
        if (isOpen && seat.lastSeen != _state.latest) latest.remaining++;
        else latest.returning++;
        if (seat.lastSeen < _state.lastClosed) seat.lastSeen = _state.lastClosed;
    }

    /// @dev Expects a participant no longer, which may complete the open round.
    function _countOut(Seat storage seat) private {
        if (seat.lastSeen < _state.lastClosed) return;

        uint32 round = _state.latest;
        Round memory latest = _roundAt(round);
        if (latest.status == RoundStatus.Open && seat.lastSeen != round) {
            _beforeDeparture(round, seat.participant);
            latest.remaining--;
            if (_isComplete(latest)) _close(round, latest, _digests[round]);
        } else {
            latest.returning--;
        }
        _store(round, latest);
    }

    function _seatOf(address signer) internal view returns (Seat memory) {
        return _seats[signer];
    }

    function _registeredOnce(address signer) private view returns (address participant, Record storage record) {
        participant = _seats[signer].participant;
        record = _records[participant];
        if (record.payout == address(0)) revert NotRegistered(signer);
    }

    /// @dev A signing key serves one participant, and an identity's own address serves no other.
    function _checkSignerFree(address signer, address participant) private view {
        bool isIdentityOfOther = signer != participant && _records[signer].signer != address(0);
        if (isIdentityOfOther || _seats[signer].participant != address(0)) revert SignerTaken(signer);
    }

    // ------------------------------------------------------------------ inside: a round's way

    /// @dev A round's word is unpacked and packed here alone: the code would not fit otherwise.
    function _roundAt(uint32 round) private view returns (Round memory) {
        return _rounds[round];
    }

    function _store(uint32 round, Round memory current) private {
        _rounds[round] = current;
    }

    /// @dev Nothing opens any more, whatever happens.
    function _isOver() private view returns (bool) {
        return _state.latest >= _state.endsAfter || block.timestamp >= _state.endsAt
            || _rounds[_state.tip].step >= MAX_ROUNDS || _neededRhoMicro() > RHO_MICRO_BUDGET;
    }

    /// @dev What is spent once the next round opens. Void rounds count: their updates may have been published.
    function _neededRhoMicro() private view returns (uint256) {
        return (uint256(_state.latest) + 1) * RHO_MICRO_PER_ROUND;
    }

    /// @dev The error that keeps the next round from opening, encoded; empty where it may open.
    function _obstacle() private view returns (bytes memory) {
        uint32 latest = _state.latest;
        uint256 neededWei = uint256(REWARD_WEI) + AGGREGATOR_REWARD_WEI;
        if (_state.active != 0) return abi.encodeWithSelector(RoundInProgress.selector, _state.active);
        uint256 neededRhoMicro = _neededRhoMicro();
        if (neededRhoMicro > RHO_MICRO_BUDGET) {
            return abi.encodeWithSelector(PrivacyBudgetSpent.selector, neededRhoMicro, RHO_MICRO_BUDGET);
        }
        if (_isOver()) return abi.encodeWithSelector(RunEnded.selector);
        if (_state.registered < QUORUM) {
            return abi.encodeWithSelector(TooFewParticipants.selector, _state.registered, QUORUM);
        }
        if (latest - _state.settled >= MAX_UNFINAL_ROUNDS) {
            return abi.encodeWithSelector(TooManyUnfinalRounds.selector, latest, _state.settled);
        }
        if (_state.poolWei < neededWei) {
            return abi.encodeWithSelector(PoolTooSmall.selector, _state.poolWei, neededWei);
        }
        return "";
    }

    function _openIfPossible() private {
        _settleIfFull();
        if (_obstacle().length == 0) _open();
    }

    function _open() private {
        uint32 round = _state.latest + 1;
        uint32 tip = _state.tip;
        uint32 step = _rounds[tip].step + 1;
        uint16 expected = _rounds[round - 1].returning;
        bytes32 baseModelRoot = _modelRoots[tip];

        _state.latest = round;
        _state.active = round;
        _state.poolWei -= REWARD_WEI + AGGREGATOR_REWARD_WEI;
        Round memory opened = Round({
            status: RoundStatus.Open,
            postingNumber: 0,
            since: uint40(block.timestamp),
            submissions: 0,
            remaining: expected,
            returning: 0,
            totalWeight: 0,
            lastClosed: _state.lastClosed,
            baseRound: tip,
            step: step
        });
        _store(round, opened);
        _digests[round] = sha256(abi.encodePacked(bytes1(0x06), CHAIN_ID, address(this), uint64(round), baseModelRoot));

        emit RoundOpened(round, tip, baseModelRoot, step, uint40(block.timestamp) + SUBMISSION_SECONDS, expected);
    }

    function _isComplete(Round memory current) private view returns (bool) {
        if (CLOSE_AT != 0 && current.submissions >= CLOSE_AT) return true;
        return current.remaining == 0 && current.submissions >= QUORUM;
    }

    /// @dev Warning: changes `current` in memory; the caller stores it.
    function _close(uint32 round, Round memory current, bytes32 digest) private {
        current.status = RoundStatus.Closed;
        current.since = uint40(block.timestamp);
        _state.lastClosed = round;

        bytes32 seed = sha256(abi.encodePacked(bytes32(block.prevrandao), digest));
        emit RoundClosed(round, digest, seed, current.submissions, current.totalWeight, current.returning);
    }

    function _voidActive(uint32 round, Round memory current, VoidReason reason) private {
        _state.active = 0;
        _void(round, current, reason);

        _openIfPossible();
    }

    function _void(uint32 round, Round memory current, VoidReason reason) private {
        if (current.status == RoundStatus.Open) {
            // It never closed, so whoever it expected is expected again.
            current.returning += current.remaining;
            current.remaining = 0;
        }
        uint128 bonusWei = _bonusOf(round, current.postingNumber);
        uint128 dustWei = bonusWei == 0 ? 0 : bonusWei % current.submissions;
        current.status = RoundStatus.Void;
        current.since = uint40(block.timestamp);
        _store(round, current);
        _state.poolWei += REWARD_WEI + AGGREGATOR_REWARD_WEI + dustWei;

        emit RoundVoided(round, reason);
    }

    function _postingDeadline(Round memory current) private view returns (uint40) {
        return current.since + POSTING_SECONDS + TAKEOVER_SECONDS;
    }

    function _checkPostable(uint32 round, Round memory current, bytes32 digest, uint256 exclusionCount) private view {
        if (current.status != RoundStatus.Closed) revert WrongStatus(round, current.status);
        if (digest != _digests[round]) revert WrongDigest(digest, _digests[round]);
        uint40 deadline = _postingDeadline(current);
        if (block.timestamp >= deadline) revert DeadlinePassed(round, deadline);
        bool hasFallen = current.postingNumber != 0;
        // The last number is never posted under: the fall of such a posting could not be counted, and so not happen.
        bool isLast = current.postingNumber == type(uint16).max;
        if (isLast || hasFallen && _barred[round][msg.sender]) revert Barred(round, msg.sender);
        uint40 openToAllAt = current.since + POSTING_SECONDS;
        address first = _state.aggregator;
        if (msg.sender != first && block.timestamp < openToAllAt && !(hasFallen && _barred[round][first])) {
            revert NotYourTurn(msg.sender, openToAllAt);
        }
        uint40 publishedAt = current.since + PUBLICATION_SECONDS;
        if (exclusionCount != 0 && block.timestamp < publishedAt) revert ExclusionsTooEarly(publishedAt);
    }

    /// @dev Marks what a posting leaves out. The loop is as long as the poster's own list.
    function _exclude(uint32 round, Round memory current, Exclusion[] calldata exclusions)
        private
        returns (Posting memory posting)
    {
        mapping(uint256 word => uint256) storage bits = _excluded[round][current.postingNumber];
        uint256 excludedWeight;
        uint256 unusable;
        for (uint256 i; i < exclusions.length; ++i) {
            Exclusion calldata exclusion = exclusions[i];
            uint16 index = exclusion.index;
            if (index >= current.submissions) revert IndexOutOfBounds(index, current.submissions);
            if (i != 0 && index <= exclusions[i - 1].index) revert ExclusionsNotAscending(i);
            if (exclusion.reason == 0 || exclusion.reason > REASON_BY_RULE) revert UnknownReason(exclusion.reason);
            _checkLeaf(round, index, exclusion.sealedRoot, exclusion.weight, exclusion.participant);

            _set(bits, index);
            excludedWeight += exclusion.weight;
            if (exclusion.reason <= REASON_OUT_OF_RANGE) ++unusable;
        }
        if (exclusions.length == current.submissions) revert NothingIncluded();
        uint256 usable = current.submissions - unusable;
        if (usable < QUORUM) revert BelowQuorum(usable, QUORUM);

        posting.poster = msg.sender;
        posting.finalizableAt = uint40(block.timestamp) + CHALLENGE_SECONDS;
        posting.includedWeight = uint32(current.totalWeight - excludedWeight);
        posting.included = uint16(current.submissions - exclusions.length);
    }

    /// @dev Makes room for one round and no more, so that what opens a round costs the same every time.
    function _settleIfFull() private {
        uint32 unfinal = _state.latest - _state.settled;
        if (unfinal >= MAX_UNFINAL_ROUNDS) _settle(_state.settled + 1);
    }

    /// @dev Bounded: no round opens while `maxUnfinalRounds` are not settled.
    function _settle(uint32 last) private returns (uint32 settled) {
        settled = _state.settled;
        while (settled < last) {
            Round storage next = _rounds[settled + 1];
            if (next.status == RoundStatus.Posted) {
                if (block.timestamp < _postings[settled + 1].finalizableAt) break;
                _finalizeOne(settled + 1, next);
            } else if (next.status == RoundStatus.Void) {
                emit VoidRoundSettled(settled + 1);
            } else {
                break;
            }
            ++settled;
        }
        _state.settled = settled;
    }

    function _finalizeOne(uint32 round, Round storage current) private {
        Posting memory posting = _postings[round];
        Account storage account = _accounts[posting.poster];
        uint128 shares = REWARD_SPLIT == RewardSplit.Equal ? posting.included : posting.includedWeight;
        uint128 rewardWei = REWARD_WEI + _bonusOf(round, current.postingNumber);
        uint128 dustWei = rewardWei % shares;

        current.status = RoundStatus.Final;
        current.since = uint40(block.timestamp);
        _freeBond(posting.poster);
        account.creditWei += AGGREGATOR_REWARD_WEI;
        _state.poolWei += dustWei;

        emit RoundFinalized(round, rewardWei, AGGREGATOR_REWARD_WEI, dustWei);
    }

    // ------------------------------------------------------------------ inside: how a posting falls

    function _challengeable(uint32 round) private view returns (Round memory current) {
        current = _roundAt(round);
        if (current.status != RoundStatus.Posted) revert WrongStatus(round, current.status);
        uint40 finalizableAt = _postings[round].finalizableAt;
        if (block.timestamp >= finalizableAt) revert ChallengeWindowClosed(round, finalizableAt);
    }

    /// @dev The verifier reads the proof from this very call's data, and the rest from this contract.
    function _challenge(uint32 round, FallReason reason) internal {
        Round memory current = _challengeable(round);
        address judge = verifier;
        assembly ("memory-safe") {
            let data := mload(0x40)
            calldatacopy(data, 0, calldatasize())
            if iszero(staticcall(gas(), judge, data, calldatasize(), 0, 0)) {
                returndatacopy(data, 0, returndatasize())
                revert(data, returndatasize())
            }
        }

        _fall(round, current, reason);
    }

    /// @dev Warning: changes `current` in memory. No round opens here: the fallen one is active.
    function _fall(uint32 round, Round memory current, FallReason reason) private {
        address poster = _postings[round].poster;
        uint16 postingNumber = current.postingNumber;
        bool isRefuted = reason != FallReason.Objections;
        uint128 paidWei = isRefuted ? CHALLENGE_REWARD_WEI : 0;
        uint128 bonusWei = isRefuted ? BOND_WEI - CHALLENGE_REWARD_WEI : 0;

        if (isRefuted) {
            _accounts[poster].lockedBondWei -= BOND_WEI;
            _accounts[msg.sender].creditWei += paidWei;
            _bonuses[round] += bonusWei;
        } else {
            _freeBond(poster);
        }
        _barred[round][poster] = true;
        _forgetPosting(round);
        current.status = RoundStatus.Closed;
        current.since = uint40(block.timestamp);
        current.postingNumber = postingNumber + 1;
        _store(round, current);
        _state.tip = current.baseRound;
        _state.active = round;

        address challenger = isRefuted ? msg.sender : address(0);
        emit PostingFell(round, postingNumber, poster, challenger, reason, paidWei, bonusWei);

        uint32 latest = _state.latest;
        for (uint32 later = round + 1; later <= latest; ++later) {
            _voidBuiltOn(later);
        }
    }

    function _voidBuiltOn(uint32 round) private {
        Round memory current = _roundAt(round);
        if (current.status == RoundStatus.Void) return;

        if (current.status == RoundStatus.Posted) {
            _freeBond(_postings[round].poster);
            _forgetPosting(round);
        }
        _void(round, current, VoidReason.BaseFell);
    }

    function _forgetPosting(uint32 round) private {
        delete _postings[round];
        delete _sumsHashes[round];
        delete _modelRoots[round];
    }

    // ------------------------------------------------------------------ inside: leaves

    /// @dev The only place that reads stored leaves.
    function _leafAt(uint256 round, uint256 index) private view returns (bytes32) {
        return _leaves[round][index];
    }

    function _checkLeaf(uint32 round, uint16 index, bytes32 sealedRoot, uint32 weight, address participant)
        private
        view
    {
        if (Seals.leaf(sealedRoot, weight, participant) != _leafAt(round, index)) {
            revert LeafMismatch(round, index);
        }
    }

    function _isSet(mapping(uint256 word => uint256) storage bits, uint256 index) private view returns (bool) {
        return bits[index >> 8] & (1 << (index & 0xff)) != 0;
    }

    function _set(mapping(uint256 word => uint256) storage bits, uint256 index) private {
        bits[index >> 8] |= 1 << (index & 0xff);
    }

    // ------------------------------------------------------------------ inside: money

    function _freeBond(address poster) private {
        Account storage account = _accounts[poster];
        account.lockedBondWei -= BOND_WEI;
        account.freeBondWei += BOND_WEI;
    }

    /// @dev Only a round that has fallen can have a bonus, so that no other pays for looking.
    function _bonusOf(uint32 round, uint16 postingNumber) private view returns (uint128) {
        return postingNumber == 0 ? 0 : _bonuses[round];
    }

    function _claimOne(address participant, address to, Claim calldata one) private returns (uint256 amountWei) {
        uint32 round = one.round;
        Round storage current = _rounds[round];
        RoundStatus status = current.status;
        uint128 bonusWei = _bonusOf(round, current.postingNumber);
        bool isVoidWithBonus = status == RoundStatus.Void && bonusWei != 0;
        if (status != RoundStatus.Final && !isVoidWithBonus) revert NotFinal(round);
        _checkLeaf(round, one.index, one.sealedRoot, one.weight, participant);
        if (!isVoidWithBonus && isExcluded(round, one.index)) revert ExcludedFromReward(round, one.index);
        if (_isSet(_claimed[round], one.index)) revert AlreadyClaimed(round, one.index);

        amountWei =
            isVoidWithBonus ? bonusWei / current.submissions : _shareOf(round, REWARD_WEI + bonusWei, one.weight);
        _set(_claimed[round], one.index);

        emit RewardClaimed(round, participant, to, amountWei);
    }

    function _shareOf(uint32 round, uint128 rewardWei, uint32 weight) private view returns (uint256) {
        Posting memory posting = _postings[round];
        return REWARD_SPLIT == RewardSplit.Equal
            ? rewardWei / posting.included
            : uint256(rewardWei / posting.includedWeight) * weight;
    }

    /// @dev What was asked back earlier and is due becomes credit, so that asking again does not delay it.
    function _unbond(Account storage account, uint128 amountWei) private {
        _releaseDue(account);
        account.unbondingWei += amountWei;
        account.releasableAt = uint40(block.timestamp) + UNBONDING_SECONDS;
    }

    function _releaseDue(Account storage account) private {
        if (account.unbondingWei == 0 || block.timestamp < account.releasableAt) return;

        account.creditWei += account.unbondingWei;
        account.unbondingWei = 0;
    }

    /// @dev The balance bounds every amount that the ledger holds, so that none of them overflows 128 bits.
    function _receive(uint256 amountWei) private {
        if (token == address(0)) {
            if (msg.value != amountWei) revert WrongPayment(msg.value, amountWei);
            return;
        }
        if (msg.value != 0) revert WrongPayment(msg.value, 0);

        uint256 beforeWei = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amountWei);
        uint256 afterWei = IERC20(token).balanceOf(address(this));
        if (afterWei - beforeWei != amountWei) revert WrongPayment(afterWei - beforeWei, amountWei);
        if (afterWei > type(uint128).max) revert AmountTooLarge(afterWei);
    }

    function _pay(address to, uint256 amountWei) private {
        if (token != address(0)) {
            IERC20(token).safeTransfer(to, amountWei);
            return;
        }
        (bool isPaid,) = to.call{ value: amountWei }("");
        if (!isPaid) revert TransferFailed(to, amountWei);
    }

    // ------------------------------------------------------------------ inside: bounds at deployment

    function _checkBound(bool isWithin, string memory field, uint256 value) internal pure {
        if (!isWithin) revert PolicyOutOfBounds(field, value);
    }

    function _checkDefinition(RunDefinition memory run) private pure {
        _checkBound(run.policyHash != 0, "policyHash", 0);
        _checkBound(run.manifestHash != 0, "manifestHash", 0);
        _checkBound(run.genesisModelRoot != 0, "genesisModelRoot", 0);
        _checkBound(run.dimension != 0 && run.dimension <= 2 ** 32, "dimension", run.dimension);
    }

    function _checkArithmetic(Policy memory rules) private pure {
        uint256 maxTotalWeight = rules.maxTotalWeight;
        _checkBound(rules.fractionBits >= 8 && rules.fractionBits <= 24, "fractionBits", rules.fractionBits);
        _checkBound(rules.scaleBits <= 40, "scaleBits", rules.scaleBits);
        _checkBound(
            maxTotalWeight != 0 && maxTotalWeight << rules.scaleBits < 2 ** 61, "maxTotalWeight", maxTotalWeight
        );
        _checkBound(rules.clipLanes != 0 && rules.clipLanes * maxTotalWeight < 2 ** 31, "clipLanes", rules.clipLanes);
    }

    function _checkRounds(Policy memory rules) private pure {
        _checkBound(rules.quorum != 0, "quorum", rules.quorum);
        _checkBound(rules.closeAt == 0 || rules.closeAt >= rules.quorum, "closeAt", rules.closeAt);
        _checkBound(rules.maxRounds != 0, "maxRounds", rules.maxRounds);
        _checkBound(
            rules.maxUnfinalRounds != 0 && rules.maxUnfinalRounds <= 64, "maxUnfinalRounds", rules.maxUnfinalRounds
        );
    }

    function _checkPeriods(Policy memory rules) private pure {
        _checkPeriod("submissionSeconds", rules.submissionSeconds);
        _checkPeriod("publicationSeconds", rules.publicationSeconds);
        _checkPeriod("postingSeconds", rules.postingSeconds);
        _checkPeriod("takeoverSeconds", rules.takeoverSeconds);
        _checkPeriod("challengeSeconds", rules.challengeSeconds);
        _checkPeriod("unbondingSeconds", rules.unbondingSeconds);
        uint256 postableSeconds = uint256(rules.postingSeconds) + rules.takeoverSeconds;
        _checkBound(rules.publicationSeconds < postableSeconds, "publicationSeconds", rules.publicationSeconds);
    }

    function _checkPeriod(string memory field, uint32 periodSeconds) private pure {
        _checkBound(periodSeconds != 0 && periodSeconds <= 365 days, field, periodSeconds);
    }
}

/// @title TrainingLedger
/// @notice The ledger of a run in which everybody can read the updates.
contract TrainingLedger is LedgerBase {
    /// @param runDefinition what is trained.
    /// @param runPolicy the rules; every bound in its documentation is checked.
    /// @param aggregator who may post first.
    /// @param runToken the ERC-20 token that all amounts are in; zero for the native coin.
    constructor(RunDefinition memory runDefinition, Policy memory runPolicy, address aggregator, address runToken)
        LedgerBase(runDefinition, runPolicy, aggregator, runToken, address(new ChallengeVerifier()))
    {
        _checkBound(runPolicy.aggregation < AggregationKind.MaskedSums, "aggregation", uint256(runPolicy.aggregation));
    }

    /// @inheritdoc ITrainingLedger
    function challengeSum(uint32 round, SumProof calldata) external override {
        if (AGGREGATION == AggregationKind.Result) revert NoSuchChallenge(AGGREGATION);

        _challenge(round, FallReason.Sum);
    }
}
