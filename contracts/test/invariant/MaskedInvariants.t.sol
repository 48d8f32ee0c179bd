// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "../MaskedTest.sol";

/// @notice Everyone who can act on a masked ledger, and what each of them remembers. No action may revert.
/// @dev Keys, sums and models are drawn; a lie is a seed that is not the one committed to.
contract MaskedActors is MaskedTest {
    uint256 public constant WORKERS = 6;
    uint256 public constant AGGREGATORS = 3;
    address public constant CHALLENGER = address(0x6100);

    mapping(uint256 round => uint256[]) public members;
    mapping(uint256 round => uint256[]) public sent;
    mapping(uint256 round => mapping(uint256 worker => bool)) public isMember;
    mapping(uint256 round => mapping(uint256 worker => bool)) public hasSent;
    mapping(uint256 round => bytes32) public ringDigests;
    /// @notice What was fixed, and that it never changes.
    mapping(uint256 round => bytes32) public fixedSets;
    mapping(uint256 round => uint256) public progress;
    /// @notice The place of the seed that a standing posting lies about, plus one.
    mapping(uint256 round => uint256) public lies;
    mapping(bytes32 action => uint256) public done;
    mapping(address poster => uint256) public refuted;
    uint256 public cameInWei;
    bool[WORKERS] public isBarred;

    function setUp() public override { }

    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.challengeSeconds = 60;
        policy.unbondingSeconds = 40;
        policy.maxUnfinalRounds = 3;
    }

    function start() external {
        vm.warp(START);
        dimension = 3;
        deploy(rules(), address(0));
        fund(POOL);
        for (uint256 i; i < AGGREGATORS; ++i) {
            bond(aggregator(i), 30_000);
        }
        for (uint256 i; i < WORKERS; ++i) {
            admit(i);
            register(i);
            identify(i);
        }
        ledger.openRound();
        cameInWei = POOL + AGGREGATORS * 30_000 + WORKERS * 500;
    }

    function theLedger() external view returns (ITrainingLedger, ISecureAggregation) {
        return (ledger, masks);
    }

    function aggregator(uint256 i) public pure returns (address) {
        return i == 0 ? AGGREGATOR : address(uint160(0x6000 + i));
    }

    function keySeedOf(uint256 i) internal pure override returns (bytes16) {
        return bytes16(keccak256(abi.encode("key seed", i)));
    }

    function maskSeedOf(uint256 i) internal pure override returns (bytes16) {
        return bytes16(keccak256(abi.encode("mask seed", i)));
    }

    function roundKeyOf(uint256 i) internal pure override returns (bytes32) {
        return keccak256(abi.encode("round key", i));
    }

    function sealedIn(uint32 number, uint256 i) private pure returns (bytes32) {
        return keccak256(abi.encode(number, i));
    }

    function active() private view returns (uint32) {
        return ledger.runState().active;
    }

    /// @dev What was fixed stays, and a round's rank only grows.
    modifier growing(bytes32 action) {
        _;
        ++done[action];
        // Of the others none is unsettled.
        uint32 newest = latest();
        for (uint32 number = newest < 5 ? 1 : newest - 4; number <= newest; ++number) {
            Round memory current = ledger.roundOf(number);
            uint256 rank = uint256(current.postingNumber) << 8 | uint256(current.status);
            vm.assertGe(rank, progress[number], "status went back");
            progress[number] = rank;
            Survivors memory stayed = masks.survivorsOf(number);
            bytes32 set = stayed.members == 0 ? bytes32(0) : keccak256(abi.encode(stayed));
            if (fixedSets[number] == 0) fixedSets[number] = set;
            vm.assertEq(set, fixedSets[number], "another set of survivors");
            if (current.status == RoundStatus.Posted) {
                bytes32 seeds = masks.seedsHashOf(number, ledger.postingOf(number).poster);
                vm.assertTrue(set != 0 && seeds != 0, "a posting without terms");
            }
        }
    }

    // ------------------------------------------------------------------ participants

    function isRegistered(uint256 i) private view returns (bool) {
        return ledger.participantOf(worker(i)).registered;
    }

    function setUpOne(uint256 seed) public growing("setUpKeys") {
        uint32 number = latest();
        uint256 i = seed % WORKERS;
        KeyRing memory ring = masks.keyRingOf(number);
        if (round().status != RoundStatus.Open || ring.isComplete || isMember[number][i]) return;
        if (block.timestamp >= round().since + KEYS_SECONDS) return;
        uint32 barredFrom = ledger.participantOf(worker(i)).barredFrom;
        if (barredFrom <= number) return;

        setUpKeys(i);
        isMember[number][i] = true;
        members[number].push(i);
        ringDigests[number] = linked(ringDigests[number], setUpDigest(setUpOf(i)));
        if (masks.keyRingOf(number).isComplete) verifyComplete(number);
    }

    /// @dev Nobody who is expected is locked out.
    function verifyComplete(uint32 number) private {
        uint32 lastClosed = ledger.roundOf(number).lastClosed;
        for (uint256 i; i < WORKERS; ++i) {
            Participant memory one = ledger.participantOf(worker(i));
            bool isExpected = one.barredFrom == NEVER && one.lastSeen >= lastClosed;
            vm.assertTrue(isMember[number][i] || !isExpected, "locked out");
        }
        vm.assertGe(members[number].length, 3, "below the quorum");
        ++done["complete"];
    }

    function setUpTogether(uint256 seed) public {
        for (uint256 i; i < WORKERS; ++i) {
            if (seed >> i & 15 != 0) setUpOne(i);
        }
    }

    function submitOne(uint256 seed) public growing("submit") {
        uint32 number = latest();
        Round memory current = round();
        uint256 i = seed % WORKERS;
        if (current.status != RoundStatus.Open || block.timestamp >= current.since + 100) return;
        if (!isRegistered(i) || ledger.participantOf(worker(i)).barredFrom <= number || hasSent[number][i]) return;
        KeyRing memory ring = masks.keyRingOf(number);
        bool mayFollow = isMember[number][i] && (ring.isComplete || block.timestamp >= ring.closeAt);

        bytes32 from = ledger.modelRootOf(current.baseRound);
        vm.prank(worker(i));
        try ledger.submit(number, from, sealedIn(number, i), weightOf(i)) {
            vm.assertTrue(mayFollow, "one without keys submitted");
            hasSent[number][i] = true;
            sent[number].push(i);
        } catch {
            vm.assertFalse(mayFollow, "a member could not submit");
        }
    }

    function submitTogether(uint256 seed) public {
        if (seed % 3 != 0) pass(KEYS_SECONDS);
        for (uint256 i; i < WORKERS; ++i) {
            if (seed >> i & 7 != 0) submitOne(i);
        }
    }

    function leaveOrCome(uint256 seed) external growing("leave or come") {
        uint256 i = seed % WORKERS;
        if (seed % 5 == 0 && isRegistered(i)) {
            vm.prank(worker(i));
            ledger.leave();
        } else if (!isRegistered(i) && !isBarred[i]) {
            register(i);
            cameInWei += 500;
        }
    }

    function suspendOrAdmit(uint256 seed) external growing("suspend or admit") {
        uint256 i = seed % WORKERS;
        if (!isBarred[i] && seed % 7 == 0) {
            suspend(i);
            isBarred[i] = true;
        } else if (isBarred[i]) {
            uint32 barredFrom = ledger.participantOf(worker(i)).barredFrom;
            if (barredFrom > latest() && round().status == RoundStatus.Open) return;
            admit(i);
            isBarred[i] = false;
        }
    }

    // ------------------------------------------------------------------ aggregators

    /// @notice Anyone with a bond tries: who may not is refused, and who may is not.
    function fixOne(uint256 seed) public growing("fix") {
        uint32 number = active();
        Round memory current = ledger.roundOf(number);
        if (current.status != RoundStatus.Closed || fixedSets[number] != 0) return;
        address sender = aggregator(seed % AGGREGATORS);
        if (ledger.accountOf(sender).freeBondWei < 10_000) return;
        bool isLate = block.timestamp >= current.since + 110;
        uint256 count = members[number].length;
        uint256 left = block.timestamp < current.since + 20 ? 0 : seed >> 8 & 1;
        uint256 needed = 2 * (count - 1) / 3 + 1;
        bool isEnough = current.submissions - left >= (needed < 3 ? 3 : needed);
        bool isTurn = block.timestamp >= current.since + 50;

        Exclusion[] memory exclusions = exclusionsOf(number, left);
        address[] memory absentees = absenteesOf(number);
        bytes32 digest = ledger.digestOf(number);
        vm.prank(sender);
        try masks.fixSurvivors(number, digest, exclusions, absentees) {
            vm.assertTrue(!isLate && isEnough, "a set was fixed that must not be");
            ++done["fixed"];
        } catch {
            vm.assertFalse(!isLate && isEnough && isTurn, "a set could not be fixed");
        }
    }

    /// @dev The first submission, or nobody.
    function exclusionsOf(uint32 number, uint256 left) private view returns (Exclusion[] memory list) {
        list = new Exclusion[](left);
        if (left == 0) return list;
        uint256 i = sent[number][0];
        list[0] = Exclusion(0, 3, weightOf(i), worker(i), sealedIn(number, i));
    }

    function absenteesOf(uint32 number) private view returns (address[] memory list) {
        list = new address[](members[number].length - sent[number].length);
        uint256 at;
        for (uint256 i; i < WORKERS; ++i) {
            if (isMember[number][i] && !hasSent[number][i]) list[at++] = worker(i);
        }
    }

    function leftOutOf(uint32 number) private view returns (uint256) {
        Survivors memory stayed = masks.survivorsOf(number);
        return stayed.submissions - stayed.survivors;
    }

    /// @notice Of those who stay, in the order of their submissions, and then of the others.
    function rightSeeds(uint32 number) private view returns (bytes16[] memory seeds) {
        uint256 left = leftOutOf(number);
        seeds = new bytes16[](members[number].length);
        uint256 at;
        for (uint256 k = left; k < sent[number].length; ++k) {
            seeds[at++] = maskSeedOf(sent[number][k]);
        }
        if (left != 0) seeds[at++] = keySeedOf(sent[number][0]);
        for (uint256 i; i < WORKERS; ++i) {
            if (isMember[number][i] && !hasSent[number][i]) seeds[at++] = keySeedOf(i);
        }
    }

    function postOne(uint256 seed) public growing("post") {
        uint32 number = active();
        Round memory current = ledger.roundOf(number);
        address poster = aggregator(seed % AGGREGATORS);
        if (current.status != RoundStatus.Closed) return;
        bytes32 digest = ledger.digestOf(number);
        bytes32[] memory roots = sums(1);
        if (fixedSets[number] == 0) {
            Exclusion[] memory exclusions = new Exclusion[](0);
            vm.prank(poster);
            try ledger.post(number, digest, exclusions, roots, 0, 0, "model") {
                vm.assertTrue(false, "posted before anybody was fixed");
            } catch { }
            return;
        }
        uint256 age = block.timestamp - current.since;
        address named = ledger.runState().aggregator;
        if (poster != named && age < 50 && !ledger.isBarred(number, named)) return;
        if (age >= 110 || ledger.isBarred(number, poster)) return;
        if (ledger.accountOf(poster).freeBondWei < 10_000) return;
        send(number, poster, seed >> 8);
    }

    function rootsOf(uint32 number) private view returns (bytes32[] memory) {
        uint256 terms = masks.survivorsOf(number).terms;
        return sums(terms + listLength(sent[number].length + terms));
    }

    function send(uint32 number, address poster, uint256 seed) private {
        bytes16[] memory seeds = rightSeeds(number);
        uint256 lie = poster == AGGREGATOR || seed % 2 == 0 ? 0 : 1 + (seed >> 4) % seeds.length;
        if (lie != 0) seeds[lie - 1] = "a lie";
        Exclusion[] memory exclusions = exclusionsOf(number, leftOutOf(number));
        bytes32[] memory roots = rootsOf(number);
        bytes32 digest = ledger.digestOf(number);
        bytes32 model = keccak256(abi.encode(number, seed));
        vm.startPrank(poster);
        masks.publishSeeds(number, seeds);
        ledger.post(number, digest, exclusions, roots, 0, 0, model);
        vm.stopPrank();
        lies[number] = lie;
        ++done[lie == 0 ? bytes32("honest posting") : bytes32("lie")];
    }

    // ------------------------------------------------------------------ challenges

    /// @notice About one seed of a posting: right where it is the lie, and refused where it is not.
    function challengeOne(uint256 seed) public growing("challenge") {
        uint32 newest = latest();
        uint32 number = newest < 3 ? uint32(1 + seed % newest) : newest - uint32(seed % 3);
        if (ledger.roundOf(number).status != RoundStatus.Posted) return;
        Posting memory posting = ledger.postingOf(number);
        if (block.timestamp >= posting.finalizableAt) return;

        uint256 place = lies[number] == 0 ? (seed >> 8) % members[number].length : lies[number] - 1;
        if (seed >> 16 & 3 == 0) place = (seed >> 8) % members[number].length;
        SeedProof memory proof = seedProof(number, place);
        vm.prank(CHALLENGER);
        (bool isAccepted, bytes memory answer) =
            address(ledger).call(abi.encodeCall(IMaskedLedger.challengeSeed, (number, proof)));
        if (place + 1 == lies[number]) {
            vm.assertTrue(isAccepted, "a right challenge was refused");
            lies[number] = 0;
            ++refuted[posting.poster];
            ++done["refuted"];
        } else {
            vm.assertFalse(isAccepted, "a wrong challenge was accepted");
            vm.assertEq(bytes32(bytes4(answer)), bytes32(ITrainingLedger.NothingWrong.selector));
        }
    }

    function seedProof(uint32 number, uint256 place) private view returns (SeedProof memory proof) {
        uint256 left = leftOutOf(number);
        uint256 staying = masks.survivorsOf(number).survivors;
        proof.number = uint16(place);
        proof.seeds = rightSeeds(number);
        if (lies[number] != 0) proof.seeds[lies[number] - 1] = "a lie";
        proof.departed = Departed(exclusionsOf(number, left), absenteesOf(number));
        proof.setUps = new bytes32[](members[number].length);
        for (uint256 k; k < proof.setUps.length; ++k) {
            proof.setUps[k] = setUpDigest(setUpOf(members[number][k]));
        }
        if (place < staying) {
            uint256 i = sent[number][place + left];
            proof.owner = setUpOf(i);
            proof.leaf = LeafOpening(sealedIn(number, i), weightOf(i), worker(i));
            return proof;
        }
        if (place == staying && left != 0) {
            proof.owner = setUpOf(sent[number][0]);
            return proof;
        }
        address gone = proof.departed.absentees[place - staying - left];
        for (uint256 i; i < WORKERS; ++i) {
            if (worker(i) == gone) proof.owner = setUpOf(i);
        }
    }

    function objectTogether(uint256 seed) external growing("object") {
        uint32 number = latest() - uint32(seed % 2);
        if (number == 0 || seed % 5 != 0 || ledger.roundOf(number).status != RoundStatus.Posted) return;
        if (block.timestamp >= ledger.postingOf(number).finalizableAt) return;
        uint256 count = sent[number].length;
        for (uint16 index; index < count; ++index) {
            if (ledger.roundOf(number).status != RoundStatus.Posted || ledger.hasObjected(number, index)) continue;
            uint256 i = sent[number][index];
            bytes32 root = ledger.modelRootOf(number);
            vm.prank(worker(i));
            ledger.object(number, root, index, weightOf(i), sealedIn(number, i));
        }
        if (ledger.roundOf(number).status == RoundStatus.Closed) {
            ++done["rejected"];
            lies[number] = 0;
        }
    }

    // ------------------------------------------------------------------ strangers and time

    function pushOn() public growing("pushOn") {
        uint32 number = active();
        Round memory current = ledger.roundOf(number);
        uint256 age = block.timestamp - current.since;
        if (number == 0) {
            try ledger.openRound() { } catch { }
        } else if (current.status == RoundStatus.Open && age >= 100) {
            ledger.closeRound(number);
        } else if (current.status == RoundStatus.Closed && age >= 110) {
            ledger.voidRound(number);
            ++done["void"];
        }
    }

    function settle() public growing("settle") {
        try ledger.finalize() { } catch { }
    }

    function wait(uint256 periodSeconds) external growing("wait") {
        pass(bound(periodSeconds, 1, 60));
        pushOn();
    }

    /// @notice One step of a round's life, so that a campaign reaches many rounds.
    function advance(uint256 seed) public {
        RoundStatus status = ledger.roundOf(active()).status;
        if (status == RoundStatus.Open) {
            if (members[latest()].length == 0) setUpTogether(seed | 0x11);
            else submitTogether(seed);
            if (seed % 4 == 0) pass(100);
        } else if (status == RoundStatus.Closed) {
            if (seed % 3 == 0) pass(20);
            if (seed % 7 == 0) pass(50);
            fixOne(seed % 8 == 0 ? seed : seed - seed % AGGREGATORS);
            postOne(seed >> 8);
            if (seed % 11 == 0) pass(60);
        } else if (seed % 2 == 0) {
            pass(60);
        }
        pushOn();
        settle();
    }

    function advanceAgain(uint256 seed) external {
        advance(seed);
    }

    // ------------------------------------------------------------------ the way out

    /// @notice Everyone takes out what is theirs; strangers and time move the rounds.
    function windUp() external {
        vm.prank(OPERATOR);
        ledger.announceEnd();
        for (uint256 i; i < 8; ++i) {
            pass(400);
            pushOn();
            settle();
        }
        vm.assertTrue(ledger.hasEnded(), "the run does not end");
        for (uint256 i; i < WORKERS; ++i) {
            if (!isRegistered(i)) continue;
            vm.prank(worker(i));
            ledger.leave();
        }
        for (uint256 i; i < AGGREGATORS; ++i) {
            uint256 freeWei = ledger.accountOf(aggregator(i)).freeBondWei;
            if (freeWei == 0) continue;
            vm.prank(aggregator(i));
            ledger.requestBond(freeWei);
        }
        pass(40);
        uint32 newest = latest();
        for (uint32 number = 1; number <= newest; ++number) {
            claimAll(number);
        }
        for (uint256 i; i < WORKERS; ++i) {
            withdrawOf(worker(i));
        }
        for (uint256 i; i < AGGREGATORS; ++i) {
            withdrawOf(aggregator(i));
        }
        withdrawOf(CHALLENGER);
        vm.prank(OPERATOR);
        ledger.withdrawPool(address(0x8000));
    }

    function claimAll(uint32 number) private {
        bool isVoidWithBonus = ledger.roundOf(number).status == RoundStatus.Void && ledger.bonusOf(number) != 0;
        if (ledger.roundOf(number).status != RoundStatus.Final && !isVoidWithBonus) return;
        for (uint16 index; index < sent[number].length; ++index) {
            if (!isVoidWithBonus && ledger.isExcluded(number, index)) continue;
            uint256 i = sent[number][index];
            Claim[] memory claims = new Claim[](1);
            claims[0] = Claim(number, index, weightOf(i), sealedIn(number, i));
            ledger.claim(worker(i), claims);
        }
    }

    function withdrawOf(address account) private {
        Account memory held = ledger.accountOf(account);
        if (held.creditWei != 0 || held.unbondingWei != 0) ledger.withdraw(account);
    }
}

/// @notice What holds of a masked run after every call, whoever made it and however much time has passed.
contract MaskedInvariantsTest is ChallengeTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    MaskedActors private actors;
    ISecureAggregation private masks;

    function setUp() public override {
        actors = new MaskedActors();
        actors.start();
        (ledger, masks) = actors.theLedger();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](13);
        selectors[0] = MaskedActors.setUpOne.selector;
        selectors[1] = MaskedActors.setUpTogether.selector;
        selectors[2] = MaskedActors.submitOne.selector;
        selectors[3] = MaskedActors.submitTogether.selector;
        selectors[4] = MaskedActors.leaveOrCome.selector;
        selectors[5] = MaskedActors.suspendOrAdmit.selector;
        selectors[6] = MaskedActors.fixOne.selector;
        selectors[7] = MaskedActors.postOne.selector;
        selectors[8] = MaskedActors.challengeOne.selector;
        selectors[9] = MaskedActors.objectTogether.selector;
        selectors[10] = MaskedActors.wait.selector;
        selectors[11] = MaskedActors.advance.selector;
        selectors[12] = MaskedActors.advanceAgain.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(actors), selectors);
    }

    /// forge-config: default.invariant.runs = 16
    /// forge-config: default.invariant.depth = 60
    function invariant_holds() external view {
        verifyRings();
        verifyBalance();
    }

    /// @dev The ring is the fold of its members' set-ups, and every submission is a member's.
    function verifyRings() private view {
        uint32 number = ledger.runState().latest;
        KeyRing memory ring = masks.keyRingOf(number);
        vm.assertEq(masks.ringDigestOf(number), actors.ringDigests(number), "ring");
        vm.assertLe(ring.joined, ring.members);
        uint256 members;
        for (uint256 i; i < actors.WORKERS(); ++i) {
            bool isMember = actors.isMember(number, i);
            if (isMember) ++members;
            vm.assertTrue(isMember || !actors.hasSent(number, i), "a stranger's submission");
        }
        vm.assertEq(ring.members, members, "members");
    }

    /// @dev What came in is in the pool, reserved, bonded, deposited, credited or waiting to be claimed.
    function verifyBalance() private view {
        Policy memory policy = ledger.policy();
        uint256 owedWei = ledger.runState().poolWei + held(actors.CHALLENGER());
        for (uint256 i; i < actors.WORKERS(); ++i) {
            owedWei += ledger.participantOf(worker(i)).depositWei + held(worker(i));
        }
        for (uint256 i; i < actors.AGGREGATORS(); ++i) {
            address one = actors.aggregator(i);
            owedWei += held(one);
            uint256 lostWei = actors.refuted(one) * policy.bondWei;
            vm.assertGe(held(one) + lostWei, 30_000, "a bond was lost without a lie");
        }
        uint32 newest = ledger.runState().latest;
        for (uint32 number = 1; number <= newest; ++number) {
            Round memory current = ledger.roundOf(number);
            uint256 bonusWei = ledger.bonusOf(number);
            if (current.status == RoundStatus.Final) {
                uint256 included = ledger.postingOf(number).included;
                owedWei += (policy.rewardWei + bonusWei) / included * included;
            } else if (current.status == RoundStatus.Void) {
                if (bonusWei != 0) owedWei += bonusWei / current.submissions * current.submissions;
            } else {
                owedWei += policy.rewardWei + policy.aggregatorRewardWei + bonusWei;
            }
        }
        vm.assertEq(address(ledger).balance, owedWei, "balance");
        vm.assertEq(actors.cameInWei(), address(ledger).balance, "what came in");
    }

    function held(address account) private view returns (uint256) {
        Account memory one = ledger.accountOf(account);
        return uint256(one.freeBondWei) + one.lockedBondWei + one.creditWei + one.unbondingWei;
    }

    /// @notice Whatever was reached: everyone can get out, and then the ledger is empty.
    function afterInvariant() external {
        actors.windUp();
        vm.assertEq(address(ledger).balance, 0, "money is stuck");
    }
}

/// @notice What the campaign is for does happen where such actions are drawn.
contract MaskedReachTest is ChallengeTest {
    function setUp() public override { }

    function testEverythingHappens() public {
        MaskedActors actors = new MaskedActors();
        actors.start();
        for (uint256 i; i < 220; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(i)));
            uint256 seed = draw >> 8;
            if (draw % 8 == 0) actors.challengeOne(seed);
            else if (draw % 24 == 1) actors.objectTogether(seed);
            else if (draw % 24 == 2) actors.leaveOrCome(seed);
            else actors.advance(seed);
        }
        actors.windUp();
        string[7] memory events = ["complete", "fixed", "honest posting", "lie", "refuted", "rejected", "void"];
        for (uint256 i; i < events.length; ++i) {
            vm.assertTrue(actors.done(bytes32(bytes(events[i]))) != 0, events[i]);
        }
    }
}
