// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Where a round stands. For one posting number it only grows.
/// @dev `Unmasking` is kept for secure aggregation and is not used.
enum RoundStatus {
    None,
    Open,
    Closed,
    Unmasking,
    Posted,
    Final,
    Void
}

/// @notice How a round's reward is divided among the included.
enum RewardSplit {
    Equal,
    DeclaredWeight
}

/// @notice What a posting says of how its model was made, and so which challenges exist.
/// @dev `Sums`: the model follows from the partial sums alone. `SumsWithState`: from them and from what the rule carries
/// from round to round. `Result`: from all updates at once; there are no partial sums, and every weight is 1.
/// `MaskedSums`: from the partial sums, which add up masked updates and the terms that take the masks off. `MaskedResult`:
/// from the sums of random groups, each under masks of its own, all at once; there are no partial sums.
enum AggregationKind {
    Sums,
    SumsWithState,
    Result,
    MaskedSums,
    MaskedResult
}

/// @notice Why a round counts for nothing.
enum VoidReason {
    None,
    BelowQuorum,
    NotPosted,
    BaseFell
}

/// @notice Why a posting fell.
enum FallReason {
    None,
    Sum,
    Range,
    Apply,
    Objections,
    Seed,
    Mask
}

/// @notice What is trained.
struct RunDefinition {
    /// @notice SHA-256 of the canonical JSON of the whole policy; its integers repeat `Policy`.
    bytes32 policyHash;
    /// @notice SHA-256 of the canonical JSON list of parameter tensors.
    bytes32 manifestHash;
    /// @notice Vector root of the model that round 1 starts from.
    bytes32 genesisModelRoot;
    /// @notice Lanes of the model.
    uint64 dimension;
}

/// @notice The rules of a run, fixed at deployment.
struct Policy {
    /// @notice Model lanes are value * 2^fractionBits; 8 to 24.
    uint8 fractionBits;
    /// @notice Update lanes are change * 2^scaleBits * weight; 0 to 40.
    uint8 scaleBits;
    /// @notice |change| * 2^scaleBits is clipped to this; clipLanes * maxTotalWeight < 2^31.
    uint32 clipLanes;
    /// @notice A round's weights sum to at most this; maxTotalWeight * 2^scaleBits < 2^61.
    uint32 maxTotalWeight;
    /// @notice Submissions that a round needs, at least 1.
    uint16 quorum;
    /// @notice Submissions that close a round at once; 0: only the complete expected set does.
    uint16 closeAt;
    /// @notice Models that the run makes; void rounds are not counted.
    uint32 maxRounds;
    /// @notice Rounds that may wait for finality at once; 1 to 64.
    uint16 maxUnfinalRounds;
    /// @notice Seconds from Open to the deadline.
    uint32 submissionSeconds;
    /// @notice Seconds from Closed until a posting may exclude.
    uint32 publicationSeconds;
    /// @notice Seconds from Closed in which only the named aggregator may post.
    uint32 postingSeconds;
    /// @notice Seconds after that in which any bonded account may post; then the round can be voided.
    uint32 takeoverSeconds;
    /// @notice Seconds from Posted until a round can become Final.
    uint32 challengeSeconds;
    /// @notice Seconds that deposits and bonds wait after they are asked back.
    uint32 unbondingSeconds;
    /// @notice Per final round, for the included participants.
    uint128 rewardWei;
    /// @notice Per final round, for its poster.
    uint128 aggregatorRewardWei;
    /// @notice Locked per posting that is not final.
    uint128 bondWei;
    /// @notice From a lost bond to the challenger; at most a tenth of the bond.
    uint128 challengeRewardWei;
    /// @notice Against Sybils; returned on leaving, never slashed.
    uint128 depositWei;
    /// @notice How a round's reward is divided.
    RewardSplit rewardSplit;
    /// @notice What the aggregation rule, which `RunDefinition.policyHash` fixes, has to post.
    AggregationKind aggregation;
    /// @notice What a round adds at most to anybody's privacy loss, in millionths of zCDP's rho; 0: no budget is kept.
    uint64 rhoMicroPerRound;
    /// @notice What all rounds together may add, void ones included: their updates may have been published.
    uint64 rhoMicroBudget;
}

/// @notice A round's hot slot: every field that a submission reads or writes, in one word.
struct Round {
    RoundStatus status;
    /// @notice How many postings of this round have fallen.
    uint16 postingNumber;
    /// @notice When it entered its status; for Open, the deadline is this plus `submissionSeconds`.
    uint40 since;
    uint16 submissions;
    /// @notice Expected participants that have not submitted yet.
    uint16 remaining;
    /// @notice Participants that the next round will expect.
    uint16 returning;
    uint32 totalWeight;
    /// @notice The newest round that had closed when this one opened.
    uint32 lastClosed;
    /// @notice The round whose model this one starts from; 0 for genesis.
    uint32 baseRound;
    /// @notice Models from genesis, this round's included.
    uint32 step;
}

/// @notice A round's posting that stands.
struct Posting {
    address poster;
    uint40 finalizableAt;
    uint32 includedWeight;
    uint16 included;
}

/// @notice One submission that a posting leaves out; the last three fields open its stored leaf.
struct Exclusion {
    uint16 index;
    /// @notice 1 unreadable, 2 out of range, 3 by rule.
    uint8 reason;
    uint32 weight;
    address participant;
    bytes32 sealedRoot;
}

/// @notice One reward to claim; index, weight and sealed root open the stored leaf.
struct Claim {
    uint32 round;
    uint16 index;
    uint32 weight;
    bytes32 sealedRoot;
}

/// @notice What opens one stored leaf down to the update's vector root.
struct Opening {
    bytes32 vectorRoot;
    bytes32 salt;
    uint32 weight;
    address participant;
}

/// @notice Shows that the summands of a listed partial sum do not add up to it in one chunk.
/// @dev Every length follows from what is stored: nothing may be left over, nothing may be missing.
struct SumProof {
    /// @notice Place of the wrong sum in the posted list.
    uint16 index;
    /// @notice The chunk in which it is wrong; padding chunks count.
    uint64 chunk;
    /// @notice Hash of the listed sum's own chunk, and its siblings up to the listed root, lowest first.
    bytes32 chunkHash;
    bytes32[] path;
    /// @notice The posted list; its hash is stored.
    bytes32[] partialSumRoots;
    /// @notice Level 1: of the group's included submissions, ascending. Other levels: none.
    Opening[] openings;
    /// @notice The same chunk of every summand, 4096 bytes each, in their order: included submissions, or listed sums.
    bytes chunks;
    /// @notice Their siblings, one summand after the other, lowest first.
    bytes32[] paths;
}

/// @notice Shows that an included update has a lane that no honest update has.
struct RangeProof {
    /// @notice Of the submission.
    uint16 index;
    Opening opening;
    /// @notice The chunk, padding included, and the lane in it, 0 to 1023.
    uint64 chunk;
    uint16 lane;
    /// @notice The chunk's 4096 bytes, and its siblings, lowest first.
    bytes content;
    bytes32[] path;
}

/// @notice Shows that a chunk of the posted model is not what applying the posted total to the base model gives.
struct ApplyProof {
    uint64 chunk;
    /// @notice The posted list; the total is its last root.
    bytes32[] partialSumRoots;
    /// @notice The base model's chunk, 4096 bytes, and its siblings, lowest first.
    bytes baseContent;
    bytes32[] basePath;
    /// @notice The total's chunk, 4096 bytes, and its siblings, lowest first.
    bytes totalContent;
    bytes32[] totalPath;
    /// @notice Hash of the posted model's own chunk, and its siblings, lowest first.
    bytes32 modelChunkHash;
    bytes32[] modelPath;
}

/// @notice A participant as the ledger holds it.
struct Participant {
    /// @notice The key that signs for it now.
    address signer;
    /// @notice Where its rewards and its deposit go.
    address payout;
    uint32 weightCap;
    /// @notice The newest round that it submitted to, or was expected as if it had.
    uint32 lastSeen;
    /// @notice The first round that it may not submit to; 0: not registered, max: in good standing.
    uint32 barredFrom;
    bool admitted;
    bool registered;
    uint128 depositWei;
}

/// @notice What an account has at stake or may take out, apart from a participant's deposit.
struct Account {
    /// @notice Bond that no posting holds.
    uint128 freeBondWei;
    /// @notice Bond that unfinal postings hold.
    uint128 lockedBondWei;
    /// @notice Earned, taken out by `withdraw`.
    uint128 creditWei;
    /// @notice Asked back, taken out by `withdraw` from `releasableAt` on.
    uint128 unbondingWei;
    uint40 releasableAt;
}

/// @notice Where the run stands.
struct RunState {
    /// @notice The newest round; ids are contiguous and never reused.
    uint32 latest;
    /// @notice Every round up to this one is Final or Void for good.
    uint32 settled;
    /// @notice The round whose model is the newest that stands; 0 for genesis.
    uint32 tip;
    /// @notice The newest round that has closed.
    uint32 lastClosed;
    /// @notice The round that takes submissions or waits for a posting; 0: none does.
    uint32 active;
    /// @notice No round beyond this opens; max until the end is announced.
    uint32 endsAfter;
    /// @notice From this chain time on no round opens; max until the end is announced.
    uint40 endsAt;
    /// @notice Participants that are registered and not suspended.
    uint16 registered;
    /// @notice Who may post first.
    address aggregator;
    /// @notice Money that no round, account or deposit holds.
    uint128 poolWei;
}

/// @title The ledger of one training run
/// @notice Records who takes part, every submitted and every aggregated model's commitment, and pays rewards.
interface ITrainingLedger {
    // ------------------------------------------------------------------ events: the run

    event RunDeployed(
        address indexed operator, address indexed aggregator, address token, RunDefinition definition, Policy policy
    );
    event PoolFunded(address indexed from, uint256 amountWei);
    event EndAnnounced(uint32 endsAfter, uint40 endsAt);
    event PoolWithdrawn(address indexed to, uint256 amountWei);
    event AggregatorNamed(address indexed aggregator);

    // ------------------------------------------------------------------ events: participants

    event ParticipantAdmitted(address indexed participant, uint32 weightCap);
    event ParticipantRegistered(address indexed participant, address payout, uint256 depositWei);
    event ParticipantSuspended(address indexed participant, uint32 fromRound);
    event ParticipantLeft(address indexed participant, uint256 depositWei);
    event PayoutChanged(address indexed participant, address payout);
    event SignerRotationRequested(address indexed participant, address signer, uint40 effectiveAt);
    event SignerRotated(address indexed participant, address previousSigner, address signer);

    // ------------------------------------------------------------------ events: rounds

    event RoundOpened(
        uint32 indexed round, uint32 baseRound, bytes32 baseModelRoot, uint32 step, uint40 deadline, uint16 expected
    );
    event UpdateSubmitted(
        uint32 indexed round, address indexed participant, uint16 index, uint32 weight, bytes32 sealedRoot
    );
    event RoundClosed(
        uint32 indexed round, bytes32 digest, bytes32 seed, uint16 submissions, uint32 totalWeight, uint16 returning
    );
    event RoundPosted(
        uint32 indexed round,
        uint16 postingNumber,
        address indexed poster,
        bytes32 modelRoot,
        bytes32 resultRoot,
        bytes32 stateRoot,
        uint16 included,
        uint32 includedWeight,
        uint40 finalizableAt,
        Exclusion[] exclusions,
        bytes32[] partialSumRoots
    );
    /// @notice A posting fell: its round waits for another under the next posting number, and every later round that is
    /// not void yet is voided right after.
    /// @param challenger who proved it wrong; zero where the submitters rejected it.
    /// @param challengeRewardWei from the bond to the challenger; 0 for a rejection.
    /// @param bonusWei from the bond to the round's reward; 0 for a rejection, which frees the bond.
    event PostingFell(
        uint32 indexed round,
        uint16 postingNumber,
        address indexed poster,
        address indexed challenger,
        FallReason reason,
        uint256 challengeRewardWei,
        uint256 bonusWei
    );
    event PostingObjected(uint32 indexed round, uint16 postingNumber, address indexed participant, uint16 objections);
    event RoundVoided(uint32 indexed round, VoidReason reason);
    /// @notice A void round was passed in the order of finality.
    event VoidRoundSettled(uint32 indexed round);
    event RoundFinalized(uint32 indexed round, uint256 rewardWei, uint256 aggregatorRewardWei, uint256 dustWei);

    // ------------------------------------------------------------------ events: money

    event BondDeposited(address indexed account, uint256 amountWei);
    event BondRequested(address indexed account, uint256 amountWei, uint40 releasableAt);
    event Withdrawn(address indexed account, address indexed to, uint256 amountWei);
    event RewardClaimed(uint32 indexed round, address indexed participant, address to, uint256 amountWei);

    // ------------------------------------------------------------------ errors

    error PolicyOutOfBounds(string field, uint256 value);
    error NotOperator(address caller);
    error WrongPayment(uint256 sent, uint256 expected);
    error TransferFailed(address to, uint256 amountWei);
    error ZeroAddress();
    error NothingToWithdraw(address account);
    error AmountTooLarge(uint256 amountWei);

    error AlreadyAdmitted(address participant);
    error WeightCapOutOfBounds(uint32 weightCap, uint32 highestCap);
    error NotAdmitted(address participant);
    error TooManyParticipants(uint256 admitted);
    error AlreadyRegistered(address participant);
    error NotRegistered(address signer);
    error AlreadySuspended(address participant);
    error SuspensionPending(address participant, uint32 fromRound);
    error ParticipantSuspendedFrom(address participant, uint32 fromRound);
    error SignerTaken(address signer);
    error NoRotationPending(address participant);
    error NotRequestedSigner(address caller, address signer);
    error RotationNotDue(uint40 effectiveAt);

    error RunEnded();
    error RunNotEnded();
    error EndAlreadyAnnounced();
    error RoundInProgress(uint32 round);
    error TooFewParticipants(uint16 registered, uint16 quorum);
    error TooManyUnfinalRounds(uint32 latest, uint32 settled);
    error PoolTooSmall(uint256 poolWei, uint256 neededWei);
    error PrivacyBudgetSpent(uint256 neededRhoMicro, uint256 budgetRhoMicro);

    error WrongStatus(uint32 round, RoundStatus status);
    error WrongBaseModel(bytes32 given, bytes32 expected);
    error AlreadySubmitted(uint32 round, address participant);
    error DeadlinePassed(uint32 round, uint40 deadline);
    error DeadlineNotPassed(uint32 round, uint40 deadline);
    error WeightOutOfBounds(uint32 weight, uint32 weightCap);
    error TotalWeightExceeded(uint256 totalWeight, uint32 maxTotalWeight);

    error WrongDigest(bytes32 given, bytes32 expected);
    error WrongPartialSumCount(uint256 given, uint256 expected);
    error WrongRoots(AggregationKind aggregation, bytes32 resultRoot, bytes32 stateRoot);
    error NotYourTurn(address caller, uint40 openToAllAt);
    error BondTooSmall(uint256 freeBondWei, uint256 bondWei);
    error ExclusionsTooEarly(uint40 allowedAt);
    error ExclusionsNotAscending(uint256 position);
    error IndexOutOfBounds(uint16 index, uint16 submissions);
    error UnknownReason(uint8 reason);
    error LeafMismatch(uint32 round, uint16 index);
    error NothingIncluded();
    error BelowQuorum(uint256 readable, uint16 quorum);
    error NothingToFinalize(uint32 settled);

    error NoSuchChallenge(AggregationKind aggregation);
    error ChallengeWindowClosed(uint32 round, uint40 finalizableAt);
    error WrongPartialSums(bytes32 given, bytes32 expected);
    error WrongLength(string field, uint256 given, uint256 expected);
    error ChunkOutOfBounds(uint64 chunk, uint256 chunks);
    error LaneOutOfBounds(uint16 lane);
    error PathMismatch(string field, bytes32 given, bytes32 expected);
    error NotIncluded(uint32 round, uint16 index);
    error NothingWrong();
    error Barred(uint32 round, address poster);
    error WrongModel(bytes32 given, bytes32 expected);
    error AlreadyObjected(uint32 round, address participant);

    error NotFinal(uint32 round);
    error ExcludedFromReward(uint32 round, uint16 index);
    error AlreadyClaimed(uint32 round, uint16 index);

    // ------------------------------------------------------------------ operator

    /// @notice Adds money to the pool that rewards are reserved from. Anyone may.
    /// @param amountWei the amount; equals `msg.value` in a run in the native coin.
    function fund(uint256 amountWei) external payable;

    /// @notice Admits a participant, or reinstates a suspended one with a new cap once its suspension has taken effect.
    /// @dev The cap of an admitted participant cannot change otherwise, so that it cannot be cut in an open round. Where
    /// `aggregation` is `Result` it is 1, so that every weight is.
    function admit(address participant, uint32 weightCap) external;

    /// @notice Bars a participant from the next round on. What it submitted and earned stays its own.
    function suspend(address participant) external;

    /// @notice Announces the end: one more round may open, within `submissionSeconds` from now.
    function announceEnd() external;

    /// @notice Pays what is left in the pool to `to`, after the last round is settled.
    function withdrawPool(address to) external;

    // ------------------------------------------------------------------ participant

    /// @notice Registers the caller, which the operator has admitted; takes the deposit.
    /// @param payout where rewards and the deposit go.
    function register(address payout) external payable;

    /// @notice Changes where rewards and the deposit go.
    function changePayout(address payout) external;

    /// @notice Asks for another signing key; in force after `unbondingSeconds`, by `rotateSigner`.
    /// @dev The identity in hashes and rewards stays. Asking again replaces the request; asking for the key in use
    /// cancels it.
    function requestSignerRotation(address signer) external;

    /// @notice Puts a requested signing key in force once it is due. The caller is that key, so that nobody can put a key
    /// in force that no one holds, or take an address that belongs to somebody else.
    function rotateSigner(address participant) external;

    /// @notice Leaves the run. The deposit is returned after `unbondingSeconds`; rewards stay claimable.
    function leave() external;

    // ------------------------------------------------------------------ rounds

    /// @notice Opens the next round where no round is open or closed. Anyone may.
    function openRound() external;

    /// @notice Submits the caller's update.
    /// @param round the open round.
    /// @param baseModelRoot the model that the update starts from.
    /// @param sealedRoot the commitment to the update, bound to chain, ledger, round and participant.
    /// @param weight the declared weight, 1 to the caller's cap.
    function submit(uint32 round, bytes32 baseModelRoot, bytes32 sealedRoot, uint32 weight) external;

    /// @notice Closes an open round after its deadline, or voids it below the quorum and opens the next. Anyone may.
    function closeRound(uint32 round) external;

    /// @notice Publishes a closed round's aggregate and opens the next round on it.
    /// @dev Where the named aggregator is barred from the round, any bonded account may post at once. After 2^16 - 1 falls
    /// everyone is barred.
    /// @param digest the round's digest as the poster read it.
    /// @param exclusions ascending by index.
    /// @param partialSumRoots level 1 first, left to right, the total last; none where `aggregation` is `Result`.
    /// @param resultRoot vector root of what the rule made of the updates where `aggregation` is `Result`, else zero.
    /// @param stateRoot vector root of what the rule carries on where `aggregation` is `SumsWithState`, else zero.
    /// @param modelRoot the new global model.
    function post(
        uint32 round,
        bytes32 digest,
        Exclusion[] calldata exclusions,
        bytes32[] calldata partialSumRoots,
        bytes32 resultRoot,
        bytes32 stateRoot,
        bytes32 modelRoot
    ) external;

    /// @notice Voids a closed round that nobody posted in time and opens the next on the same base. Anyone may.
    function voidRound(uint32 round) external;

    /// @notice Settles rounds in order: Posted ones whose window is over become Final. Anyone may.
    /// @dev The loop is bounded by `maxUnfinalRounds`.
    function finalize() external;

    // ------------------------------------------------------------------ challenges

    /// @notice Takes down a posting whose partial sums do not add up. Anyone may, until it can become final.
    /// @dev Not where `aggregation` is `Result`. A proof that is wrong anywhere reverts. A right one pays `challengeRewardWei` from the bond to the caller, puts
    /// the rest into the round's reward, bars the poster from the round and voids what was built on it.
    function challengeSum(uint32 round, SumProof calldata proof) external;

    /// @notice Takes down a posting that includes an update outside its bounds. See `challengeSum`.
    function challengeRange(uint32 round, RangeProof calldata proof) external;

    /// @notice Takes down a posting whose model does not follow from its total. See `challengeSum`.
    /// @dev Where `aggregation` is `Sums` alone: else the model does not follow from the total alone.
    function challengeApply(uint32 round, ApplyProof calldata proof) external;

    /// @notice Objects to a posting that the caller can neither derive nor prove wrong. Each submission of the round counts
    /// once, under one posting; with more than half of them the posting falls, and no bond is lost.
    /// @param modelRoot the posting that is meant, so that the objection counts against no other.
    /// @param index of the caller's submission; it, `weight` and `sealedRoot` open the stored leaf.
    function object(uint32 round, bytes32 modelRoot, uint16 index, uint32 weight, bytes32 sealedRoot) external;

    // ------------------------------------------------------------------ money

    /// @notice Adds to the caller's free bond.
    function depositBond(uint256 amountWei) external payable;

    /// @notice Asks free bond back; `withdraw` pays it after `unbondingSeconds`.
    function requestBond(uint256 amountWei) external;

    /// @notice Pays an account its credit and whatever it asked back that is due. Anyone may call it.
    function withdraw(address account) external;

    /// @notice Pays a participant's rewards to its payout address. Anyone may call it.
    /// @dev Of final rounds; and of void ones that a fallen bond has given a bonus: their submitters share it equally.
    function claim(address participant, Claim[] calldata claims) external;

    // ------------------------------------------------------------------ reading

    function operator() external view returns (address);
    function token() external view returns (address);
    function definition() external view returns (RunDefinition memory);
    function policy() external view returns (Policy memory);
    function runState() external view returns (RunState memory);
    function hasEnded() external view returns (bool);
    function roundOf(uint32 round) external view returns (Round memory);
    function digestOf(uint32 round) external view returns (bytes32);
    function modelRootOf(uint32 round) external view returns (bytes32);
    function sumsHashOf(uint32 round) external view returns (bytes32);
    function postingOf(uint32 round) external view returns (Posting memory);
    function leafOf(uint32 round, uint16 index) external view returns (bytes32);
    function isExcluded(uint32 round, uint16 index) external view returns (bool);
    /// @notice What fallen bonds have added to a round's reward.
    function bonusOf(uint32 round) external view returns (uint256 bonusWei);
    function isBarred(uint32 round, address poster) external view returns (bool);
    function objectionsTo(uint32 round) external view returns (uint16);
    function hasObjected(uint32 round, uint16 index) external view returns (bool);
    /// @notice The contract that decides challenges; it holds nothing and is made by the ledger's own deployment.
    function verifier() external view returns (address);
    function isClaimed(uint32 round, uint16 index) external view returns (bool);
    function participantOf(address participant) external view returns (Participant memory);
    function identityOf(address signer) external view returns (address);
    function accountOf(address account) external view returns (Account memory);
}
