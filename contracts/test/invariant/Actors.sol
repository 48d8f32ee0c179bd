// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./Postings.sol";

/// @notice Everyone who can act on a ledger, and what each of them remembers. No action may revert.
/// @dev Who is expected is kept here as plain lists per round, the way the protocol says it in words.
contract Actors is Postings {
    uint256 public constant WORKERS = 5;
    /// @dev The first of them never lies.
    uint256 public constant AGGREGATORS = 4;
    uint256 public constant CHALLENGERS = 2;
    address public constant TREASURY = address(0x8000);

    struct Life {
        bool admitted;
        bool barred;
        bool registered;
        bool hasLeft;
        address key;
        uint32 cap;
    }

    Life[WORKERS] public lives;
    mapping(uint256 round => mapping(uint256 worker => bool)) public hasSent;
    /// @notice Who was admitted, reinstated or came back while `round` was the newest that had closed.
    mapping(uint256 round => mapping(uint256 worker => bool)) public hasJoinedAfter;
    mapping(uint256 round => uint256) public progress;
    /// @notice The model root that a round opened on; its base may have fallen since.
    mapping(uint256 round => bytes32) public baseRoots;
    mapping(uint256 round => bytes32[]) public leaves;
    mapping(bytes32 action => uint256) public done;
    mapping(address account => uint256) public bondedWei;
    uint256 public newestClosed;
    uint256 public cameInWei;
    uint256 private keys;
    uint256 private nesting;

    /// @dev Rules come from the campaign.
    Policy private inForce;

    function setUp() public override { }

    function rules() internal view override returns (Policy memory) {
        return inForce;
    }

    function start(Policy memory policy) external {
        vm.warp(START);
        inForce = policy;
        dimension = LANES;
        deploy(policy, address(0));
        fund(POOL);
        cameInWei = POOL;
        for (uint256 i; i < AGGREGATORS; ++i) {
            bondAs(aggregator(i), 3 * policy.bondWei);
        }
        for (uint256 i; i < 3; ++i) {
            this.admitOne(i, 50);
            this.registerOne(i);
        }
        ledger.openRound();
        baseRoots[1] = ledger.modelRootOf(0);
    }

    function theLedger() external view returns (ITrainingLedger) {
        return ledger;
    }

    function aggregator(uint256 i) public pure returns (address) {
        return i == 0 ? AGGREGATOR : address(uint160(0x6000 + i));
    }

    function challenger(uint256 i) public pure returns (address) {
        return address(uint160(0x6100 + i));
    }

    function bondAs(address account, uint256 amountWei) private {
        bond(account, amountWei);
        bondedWei[account] += amountWei;
        cameInWei += amountWei;
    }

    function active() private view returns (uint32) {
        return ledger.runState().active;
    }

    /// @notice In the ledger's words: may take part from now on and is not barred.
    function isStanding(uint256 i) public view returns (bool) {
        return lives[i].admitted && !lives[i].barred && !lives[i].hasLeft;
    }

    function isMember(uint256 i) public view returns (bool) {
        if (!isStanding(i)) return false;
        for (uint256 number = newestClosed; number <= latest(); ++number) {
            if (hasSent[number][i]) return true;
        }
        return hasJoinedAfter[newestClosed][i];
    }

    /// @notice Everything that the ledger has paid to anybody.
    function paidWei() external view returns (uint256 totalWei) {
        totalWei = TREASURY.balance;
        for (uint256 i; i < WORKERS; ++i) {
            totalWei += payoutOf(i).balance + payoutOf(WORKERS + i).balance;
        }
        for (uint256 i; i < AGGREGATORS; ++i) {
            totalWei += aggregator(i).balance;
        }
        for (uint256 i; i < CHALLENGERS; ++i) {
            totalWei += challenger(i).balance;
        }
    }

    function leafCount(uint256 number) external view returns (uint256) {
        return leaves[number].length;
    }

    /// @dev What was stored only grows: checked for every round, once an action and what it is made of is over.
    modifier growing(bytes32 action) {
        ++nesting;
        _;
        ++done[action];
        uint32 closed = ledger.runState().lastClosed;
        if (closed > newestClosed) newestClosed = closed;
        if (--nesting == 0) verifyGrowth();
    }

    function verifyGrowth() private {
        uint32 newest = latest();
        for (uint32 number = 1; number <= newest; ++number) {
            Round memory current = ledger.roundOf(number);
            uint256 rank = uint256(current.postingNumber) << 8 | uint256(current.status);
            vm.assertGe(rank, progress[number], "status went back");
            progress[number] = rank;
            if (baseRoots[number] == 0) baseRoots[number] = ledger.modelRootOf(current.baseRound);
            bytes32[] storage known = leaves[number];
            for (uint16 index; index < current.submissions; ++index) {
                if (index == known.length) known.push(ledger.leafOf(number, index));
                else vm.assertEq(ledger.leafOf(number, index), known[index]);
            }
        }
    }

    // ------------------------------------------------------------------ operator

    function admitOne(uint256 seed, uint32 cap) external growing("admit") {
        uint256 i = seed % WORKERS;
        Life storage life = lives[i];
        uint32 barredFrom = ledger.participantOf(worker(i)).barredFrom;
        bool isPending = barredFrom > latest() && round().status == RoundStatus.Open;
        if (life.admitted && !life.barred) return;
        if (life.barred && life.registered && isPending) return;

        cap = uint32(bound(cap, 1, 50));
        vm.prank(OPERATOR);
        ledger.admit(worker(i), cap);
        if (life.key == address(0)) life.key = worker(i);
        life.admitted = true;
        life.barred = false;
        life.hasLeft = false;
        life.cap = cap;
        hasJoinedAfter[newestClosed][i] = true;
    }

    function suspendOne(uint256 seed) external growing("suspend") {
        uint256 i = seed % WORKERS;
        if (seed % 3 != 0 || !lives[i].admitted || lives[i].barred) return;

        suspend(i);
        lives[i].barred = true;
    }

    function fundMore(uint256 amountWei) external growing("fund") {
        if (ledger.runState().endsAfter != NEVER) return;

        amountWei = bound(amountWei, 0, 5000);
        fund(amountWei);
        cameInWei += amountWei;
    }

    function announceEnd(uint256 seed) external growing("announceEnd") {
        if (seed % 40 != 0 || ledger.runState().endsAfter != NEVER) return;

        vm.prank(OPERATOR);
        ledger.announceEnd();
    }

    // ------------------------------------------------------------------ participants

    function registerOne(uint256 seed) external growing("register") {
        uint256 i = seed % WORKERS;
        Life storage life = lives[i];
        if (!life.admitted || life.barred || life.registered) return;

        uint256 depositWei = ledger.policy().depositWei;
        bool wasMember = isMember(i);
        vm.deal(life.key, depositWei);
        vm.prank(life.key);
        ledger.register{ value: depositWei }(payoutOf(i));
        cameInWei += depositWei;
        life.registered = true;
        life.hasLeft = false;
        if (!wasMember) hasJoinedAfter[newestClosed][i] = true;
    }

    function leaveOne(uint256 seed) external growing("leave") {
        uint256 i = seed % WORKERS;
        if (seed % 3 != 0 || !lives[i].registered) return;

        vm.prank(lives[i].key);
        ledger.leave();
        lives[i].registered = false;
        lives[i].hasLeft = true;
        for (uint256 number; number <= latest(); ++number) {
            hasJoinedAfter[number][i] = false;
        }
    }

    function changePayoutOne(uint256 seed) external growing("changePayout") {
        uint256 i = seed % WORKERS;
        if (ledger.participantOf(worker(i)).payout == address(0)) return;

        vm.prank(lives[i].key);
        ledger.changePayout(payoutOf(seed % 2 == 0 ? i : WORKERS + i));
    }

    function rotateOne(uint256 seed) external growing("rotate") {
        uint256 i = seed % WORKERS;
        if (!lives[i].registered) return;

        address next = address(uint160(0x70000 + ++keys));
        vm.prank(lives[i].key);
        ledger.requestSignerRotation(next);
        pass(ledger.policy().unbondingSeconds);
        vm.prank(next);
        ledger.rotateSigner(worker(i));
        lives[i].key = next;
    }

    function submitOne(uint256 seed, uint32 weight, uint256 draw) public growing("submit") {
        uint32 number = latest();
        Round memory current = round();
        if (current.status != RoundStatus.Open) return;
        if (block.timestamp >= current.since + ledger.policy().submissionSeconds) return;

        for (uint256 k; k < WORKERS; ++k) {
            uint256 i = (seed % WORKERS + k) % WORKERS;
            Life storage life = lives[i];
            if (!life.registered || hasSent[number][i]) continue;
            if (life.barred && ledger.participantOf(worker(i)).barredFrom <= number) continue;

            weight = uint32(bound(weight, 1, life.cap));
            bytes32 root = record(number, i, weight, draw);
            bytes32 from = ledger.modelRootOf(current.baseRound);
            vm.prank(life.key);
            ledger.submit(number, from, root, weight);
            hasSent[number][i] = true;
            return;
        }
    }

    function submitSecondTime(uint256 seed) external growing("submitSecondTime") {
        uint256 i = seed % WORKERS;
        uint32 number = latest();
        if (!hasSent[number][i]) return;

        bytes32 from = ledger.modelRootOf(round().baseRound);
        vm.prank(lives[i].key);
        try ledger.submit(number, from, "second", 1) {
            vm.assertTrue(false, "submitted twice");
        } catch { }
    }

    /// @notice By someone who may not, to another round, from another model, with a weight out of bounds, or too late.
    function submitWrongly(uint256 seed) external growing("submitWrongly") {
        uint256 i = seed % WORKERS;
        uint32 number = latest();
        Round memory current = round();
        bytes32 base = ledger.modelRootOf(current.baseRound);
        address caller = lives[i].key;
        uint32 weight = 1;
        uint256 flaw = (seed >> 8) % 5;
        if (flaw == 0) {
            caller = STRANGER;
        } else if (flaw == 1) {
            number = seed >> 16 & 1 == 0 ? number + 1 : number - 1;
        } else if (flaw == 2) {
            base = keccak256(abi.encode(base));
        } else if (flaw == 3) {
            weight = seed >> 16 & 1 == 0 ? 0 : lives[i].cap + 1;
        } else {
            bool isInTime = block.timestamp < current.since + ledger.policy().submissionSeconds;
            bool isBarred = lives[i].barred && ledger.participantOf(worker(i)).barredFrom <= number;
            if (current.status == RoundStatus.Open && isInTime && lives[i].registered && !isBarred) return;
        }
        vm.prank(caller);
        try ledger.submit(number, base, "wrong", weight) {
            vm.assertTrue(false, "a wrong submission was taken");
        } catch { }
    }

    // ------------------------------------------------------------------ aggregators

    /// @notice Posts the closed round, if somebody may who has the bond. Lies are drawn, but not for the honest one.
    function postOne(uint256 seed, uint256 mask) external growing("post") {
        uint32 number = active();
        address poster = whoMayPost(number, seed);
        if (poster == address(0)) return;

        bool isHonest = poster == aggregator(0) || mask % 3 != 0;
        bool mayExclude = block.timestamp >= ledger.roundOf(number).since + ledger.policy().publicationSeconds;
        bool[] memory excluded = leftOut(number, mayExclude, mask >> 8);
        if (isHonest && !isClean(number, excluded)) return;

        FallReason lie = isHonest ? FallReason.None : FallReason((mask >> 16) % 2 == 0 ? 1 : 3);
        Posted memory plan = planned(number, excluded, lie, mask);
        if (ledger.roundOf(number).postingNumber != 0) ++done["posted again"];
        send(number, poster, excluded, plan);
        ++done[plan.lie == FallReason.None ? bytes32("honest posting") : bytes32("lie")];
    }

    /// @notice Somebody with a bond whose turn it is; nobody where that is so.
    function whoMayPost(uint32 number, uint256 seed) private view returns (address poster) {
        Round memory current = ledger.roundOf(number);
        Policy memory policy = ledger.policy();
        uint256 age = block.timestamp - current.since;
        if (current.status != RoundStatus.Closed) return address(0);
        if (age >= policy.postingSeconds + policy.takeoverSeconds) return address(0);
        address named = ledger.runState().aggregator;
        bool isOpenToAll = age >= policy.postingSeconds || ledger.isBarred(number, named);
        poster = isOpenToAll ? aggregator(seed % AGGREGATORS) : named;
        if (ledger.isBarred(number, poster)) return address(0);
        if (ledger.accountOf(poster).freeBondWei < policy.bondWei) return address(0);
    }

    function leftOut(uint32 number, bool mayExclude, uint256 mask) private view returns (bool[] memory excluded) {
        uint256 count = sent[number].length;
        excluded = new bool[](count);
        uint256 left;
        for (uint256 i; i < count && mayExclude; ++i) {
            bool isWanted = sent[number][i].isOutOfRange ? mask % 5 != 0 : mask % 4 == 0 && mask >> i & 8 == 8;
            if (!isWanted || left + 1 == count) continue;
            excluded[i] = true;
            ++left;
        }
    }

    /// @notice Whether no update remains that has to be left out.
    function isClean(uint32 number, bool[] memory excluded) private view returns (bool) {
        for (uint256 i; i < excluded.length; ++i) {
            if (sent[number][i].isOutOfRange && !excluded[i]) return false;
        }
        return true;
    }

    function depositBond(uint256 seed, uint256 amountWei) external growing("depositBond") {
        bondAs(aggregator(seed % AGGREGATORS), bound(amountWei, 0, 2 * ledger.policy().bondWei));
    }

    function requestBond(uint256 seed, uint256 amountWei) external growing("requestBond") {
        address account = aggregator(seed % AGGREGATORS);
        uint256 freeWei = ledger.accountOf(account).freeBondWei;
        if (freeWei == 0 || seed % 2 == 0) return;

        amountWei = bound(amountWei, 1, freeWei);
        vm.prank(account);
        ledger.requestBond(amountWei);
    }

    // ------------------------------------------------------------------ strangers

    function pushOn(uint256 seed) public growing("pushOn") {
        uint32 number = active();
        Round memory current = ledger.roundOf(number);
        Policy memory policy = ledger.policy();
        uint256 age = block.timestamp - current.since;
        if (current.status == RoundStatus.Open) {
            if (age < policy.submissionSeconds) return;
            vm.prank(STRANGER);
            ledger.closeRound(number);
        } else if (current.status == RoundStatus.Closed) {
            if (age < policy.postingSeconds + policy.takeoverSeconds) return;
            vm.prank(STRANGER);
            ledger.voidRound(number);
            if (ledger.bonusOf(number) != 0) ++done["voided with a bonus"];
        } else if (seed % 2 == 0) {
            openNext(policy);
        }
    }

    /// @dev Nothing but what the protocol names keeps a stranger from opening the next round.
    function openNext(Policy memory policy) private {
        RunState memory state = ledger.runState();
        bool isOver = state.latest >= state.endsAfter || block.timestamp >= state.endsAt
            || ledger.roundOf(state.tip).step >= policy.maxRounds;
        bool isShort = state.registered < policy.quorum;
        bool isFull = state.latest - state.settled >= policy.maxUnfinalRounds && !isDue(state.settled + 1);
        bool isPoor = state.poolWei < policy.rewardWei + policy.aggregatorRewardWei;
        vm.prank(STRANGER);
        try ledger.openRound() {
            vm.assertFalse(isOver || isShort || isFull, "a round opened against the rules");
        } catch {
            vm.assertTrue(isOver || isShort || isFull || isPoor, "nobody can open the next round");
        }
    }

    function isDue(uint32 number) private view returns (bool) {
        RoundStatus status = ledger.roundOf(number).status;
        if (status == RoundStatus.Posted) return block.timestamp >= ledger.postingOf(number).finalizableAt;
        return status == RoundStatus.Void;
    }

    function settle() public growing("settle") {
        if (!isDue(ledger.runState().settled + 1)) return;

        vm.prank(STRANGER);
        ledger.finalize();
    }

    // ------------------------------------------------------------------ challengers and objectors

    function isChallengeable(uint32 number) private view returns (bool) {
        bool isPosted = ledger.roundOf(number).status == RoundStatus.Posted;
        return isPosted && block.timestamp < ledger.postingOf(number).finalizableAt;
    }

    /// @notice Proves the first lie that can be proved from a drawn round on.
    function challengeRight(uint256 seed) public growing("challenge") {
        uint32 newest = latest();
        for (uint32 k; k < newest; ++k) {
            uint32 number = 1 + uint32((seed % newest + k) % newest);
            Posted memory standing = posted[number];
            if (!isChallengeable(number) || standing.lie == FallReason.None) continue;

            bytes memory call = challengeOf(number, standing.lie, standing.wrongIndex);
            address who = challenger(seed % CHALLENGERS);
            vm.prank(who);
            (bool isAccepted,) = address(ledger).call(call);
            vm.assertTrue(isAccepted, "a right challenge was refused");
            ++refuted[standing.poster];
            ++challenges[who];
            ++done["refuted"];
            if (number < newest) ++done["fell with others on it"];
            return;
        }
    }

    /// @notice Whatever is said of a posting that is not wrong in this way is refused.
    function challengeWrong(uint256 seed) external growing("challengeWrong") {
        uint32 number = uint32(1 + seed % latest());
        if (!isChallengeable(number)) return;

        uint16 index = uint16((seed >> 32) % sent[number].length);
        for (uint8 kind = 1; kind <= 3; ++kind) {
            if (kind == uint8(FallReason.Range) && sent[number][index].isOutOfRange) continue;
            if (FallReason(kind) == posted[number].lie && kind != uint8(FallReason.Range)) continue;

            bytes memory call = challengeOf(number, FallReason(kind), index);
            vm.prank(challenger(seed % CHALLENGERS));
            (bool isAccepted, bytes memory answer) = address(ledger).call(call);
            vm.assertFalse(isAccepted, "a wrong challenge was accepted");
            bool isExcluded = ledger.isExcluded(number, index) && kind == uint8(FallReason.Range);
            bytes4 reason = isExcluded ? ITrainingLedger.NotIncluded.selector : ITrainingLedger.NothingWrong.selector;
            vm.assertEq(bytes32(bytes4(answer)), bytes32(reason));
        }
    }

    /// @notice Whoever submitted to a posted round may object, whether it is still there or not.
    function objectOne(uint256 seed) external growing("object") {
        uint32 number = uint32(1 + seed % latest());
        if (sent[number].length != 0) objectIn(number, uint16((seed >> 32) % sent[number].length));
    }

    /// @notice A majority at once, which single objections seldom make.
    function objectTogether(uint256 seed) external growing("objectTogether") {
        // One of the newest, since the others are final.
        uint32 number = latest() - uint32((seed >> 8) % Vectors.smaller(latest(), 4));
        if (seed % 4 != 0) return;

        for (uint16 index; index < sent[number].length; ++index) {
            objectIn(number, index);
        }
    }

    function objectIn(uint32 number, uint16 index) private {
        if (!isChallengeable(number) || ledger.hasObjected(number, index)) return;

        Sent memory one = sent[number][index];
        bytes32 root = ledger.modelRootOf(number);
        vm.prank(lives[one.worker].key);
        ledger.object(number, root, index, one.weight, one.sealedRoot);
        if (ledger.roundOf(number).status == RoundStatus.Closed) ++done["rejected"];
    }

    // ------------------------------------------------------------------ anyone's money

    function claimOne(uint256 seed) external growing("claim") {
        uint32 number = uint32(1 + seed % (latest() + 1));
        if (sent[number].length != 0) claimIfDue(number, uint16((seed >> 8) % sent[number].length));
    }

    function withdrawOne(uint256 seed) external growing("withdraw") {
        withdrawIfAny(seed % 2 == 0 ? aggregator(seed % AGGREGATORS) : worker(seed % WORKERS));
        withdrawIfAny(challenger(seed % CHALLENGERS));
    }

    function wait(uint256 periodSeconds) external growing("wait") {
        pass(bound(periodSeconds, 1, 40));
    }

    function waitLong(uint256 seed) external growing("waitLong") {
        if (seed % 4 == 0) pass(ledger.policy().submissionSeconds);
        pushOn(1);
    }

    // ------------------------------------------------------------------ all together

    /// @notice One step of a round's life, so that a campaign reaches many rounds; some workers stay silent.
    function advance(uint256 seed) public growing("advance") {
        RoundStatus status = ledger.roundOf(active()).status;
        if (status == RoundStatus.Open) {
            for (uint256 i; i < WORKERS; ++i) {
                if (seed >> i & 1 == 1) submitOne(i, uint32(seed), uint256(keccak256(abi.encode(seed, i))));
            }
            if (seed % 5 == 0) pass(ledger.policy().submissionSeconds);
            pushOn(1);
        } else if (status == RoundStatus.Closed) {
            if (seed % 3 == 0) pass(ledger.policy().publicationSeconds);
            if (seed % 7 == 0) pass(ledger.policy().postingSeconds);
            if (seed % 11 == 0) pass(ledger.policy().takeoverSeconds);
            this.postOne(seed, seed >> 8);
            pushOn(1);
        } else {
            if (seed % 3 == 0) pass(ledger.policy().challengeSeconds);
            settle();
            pushOn(0);
        }
    }

    /// @notice The same under another name: it is drawn three times as often.
    function advanceAgain(uint256 seed) external {
        advance(seed);
    }

    function advanceOnceMore(uint256 seed) external {
        advance(seed);
    }

    // ------------------------------------------------------------------ the way out

    function claimIfDue(uint32 number, uint16 index) public {
        Round memory current = ledger.roundOf(number);
        bool isVoidWithBonus = current.status == RoundStatus.Void && ledger.bonusOf(number) != 0;
        if (current.status != RoundStatus.Final && !isVoidWithBonus) return;
        if (!isVoidWithBonus && isLeftOut[number][current.postingNumber][index]) return;
        if (ledger.isClaimed(number, index)) return;

        Sent memory one = sent[number][index];
        Claim[] memory claims = new Claim[](1);
        claims[0] = Claim(number, index, one.weight, one.sealedRoot);
        vm.prank(STRANGER);
        ledger.claim(worker(one.worker), claims);
        ++done[isVoidWithBonus ? bytes32("claim of a bonus") : bytes32("claim of a reward")];
    }

    function withdrawIfAny(address account) public {
        Account memory held = ledger.accountOf(account);
        bool isUnbonded = held.unbondingWei != 0 && block.timestamp >= held.releasableAt;
        if (held.creditWei == 0 && !isUnbonded) return;

        vm.prank(STRANGER);
        ledger.withdraw(account);
    }

    /// @notice From here everyone takes out what is theirs; strangers and time move the rounds.
    /// @param isOperatorAway the operator announces the end only after all others have their money.
    function windUp(bool isOperatorAway) external {
        if (isOperatorAway) leaveAll();
        else announce();
        settleAll();
        if (!isOperatorAway) {
            vm.assertTrue(ledger.hasEnded(), "the run does not end");
            leaveAll();
        }
        takeOutAll();
        vm.assertEq(address(ledger).balance, ledger.runState().poolWei, "somebody's money is stuck");
        if (isOperatorAway) announce();
        if (ledger.runState().poolWei == 0) return;
        vm.prank(OPERATOR);
        ledger.withdrawPool(TREASURY);
    }

    function announce() private {
        if (ledger.runState().endsAfter == NEVER) {
            vm.prank(OPERATOR);
            ledger.announceEnd();
        }
        pass(ledger.policy().submissionSeconds);
    }

    function leaveAll() private {
        for (uint256 i; i < WORKERS; ++i) {
            if (!lives[i].registered) continue;
            vm.prank(lives[i].key);
            ledger.leave();
        }
    }

    function settleAll() private {
        Policy memory policy = ledger.policy();
        for (uint256 i; i < 8; ++i) {
            pass(policy.submissionSeconds + policy.postingSeconds + policy.takeoverSeconds + policy.challengeSeconds);
            pushOn(1);
            settle();
        }
        vm.assertEq(ledger.runState().settled, latest(), "rounds are left");
    }

    function takeOutAll() private {
        for (uint256 i; i < AGGREGATORS; ++i) {
            uint256 freeWei = ledger.accountOf(aggregator(i)).freeBondWei;
            if (freeWei == 0) continue;
            vm.prank(aggregator(i));
            ledger.requestBond(freeWei);
        }
        pass(ledger.policy().unbondingSeconds);
        for (uint32 number = 1; number <= latest(); ++number) {
            for (uint16 index; index < sent[number].length; ++index) {
                claimIfDue(number, index);
            }
        }
        for (uint256 i; i < WORKERS; ++i) {
            withdrawIfAny(worker(i));
        }
        for (uint256 i; i < AGGREGATORS; ++i) {
            withdrawIfAny(aggregator(i));
        }
        for (uint256 i; i < CHALLENGERS; ++i) {
            withdrawIfAny(challenger(i));
        }
    }
}
