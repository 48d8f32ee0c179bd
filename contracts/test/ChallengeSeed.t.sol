// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskProofs.sol";

/// @notice Of the posted seeds number 2, of one who stayed, and number 5, of one who never submitted, are wrong.
contract ChallengeSeedTest is MaskProofs {
    uint256 private constant STAYED = 2;
    uint256 private constant GONE = 5;

    bytes16[] private posted;

    function setUp() public override {
        dimension = 5;
        super.setUp();
        closeUp();
        posted = theSeeds();
        posted[STAYED] ^= bytes16(uint128(1));
        posted[GONE] = "another seed";
        postTerms(posted, sums(TERMS));
        saved = abi.encode(seedProof(STAYED, posted));
    }

    function theProof() private view returns (SeedProof memory) {
        return abi.decode(saved, (SeedProof));
    }

    function challenge(SeedProof memory proof) private {
        vm.prank(STRANGER);
        masked().challengeSeed(1, proof);
    }

    function refuse(bytes memory reason, SeedProof memory proof) private {
        expectError(reason);
        challenge(proof);
    }

    // ------------------------------------------------------------------ what a right proof does

    function testTakesTheBond() public {
        expectEvent();
        emit ITrainingLedger.PostingFell(1, 0, AGGREGATOR, STRANGER, FallReason.Seed, 1000, 9000);
        expectEvent();
        emit ITrainingLedger.RoundVoided(2, VoidReason.BaseFell);
        challenge(theProof());
        verifyFallen(1, 1);
        vm.assertEq(ledger.accountOf(STRANGER).creditWei, 1000);
        vm.assertEq(ledger.bonusOf(1), 9000);
        vm.assertTrue(ledger.isBarred(1, AGGREGATOR));
        vm.assertEq(masks.survivorsOf(1).survivors, STAYING);
    }

    function testASeedOfOneWhoLeft() public {
        challenge(seedProof(GONE, posted));
        verifyFallen(1, 1);
    }

    /// @notice The mask seed of one who left is no key seed of its, and the reverse.
    function testTheOtherSeedIsAnotherSeed() public {
        challenge(theProof());
        bond(STRANGER, 10_000);
        bytes16[] memory seeds = theSeeds();
        seeds[4] = maskSeedOf(LEFT_OUT);
        seeds[0] = keySeedOf(0);
        bytes32 digest = ledger.digestOf(1);
        bytes32[] memory roots = listed;
        Exclusion[] memory left = exclusions();
        vm.startPrank(STRANGER);
        masks.publishSeeds(1, seeds);
        // Seeds are the poster's: what the other published of the round does not matter any more.
        vm.stopPrank();
        pass(20);
        vm.prank(STRANGER);
        ledger.post(1, digest, left, roots, 0, 0, "model");
        refuse(
            abi.encodeWithSelector(
                ISecureAggregation.WrongSeeds.selector, keccak256(abi.encode(posted)), keccak256(abi.encode(seeds))
            ),
            theProof()
        );
        uint256 snapshot = vm.snapshotState();
        challenge(seedProof(4, seeds));
        vm.revertToState(snapshot);
        challenge(seedProof(0, seeds));
    }

    // ------------------------------------------------------------------ when

    function testTheWindowOnBothSides() public {
        uint40 finalizableAt = ledger.postingOf(1).finalizableAt;
        vm.warp(finalizableAt);
        refuse(abi.encodeWithSelector(ITrainingLedger.ChallengeWindowClosed.selector, 1, finalizableAt), theProof());
        vm.warp(finalizableAt - 1);
        challenge(theProof());
    }

    /// forge-config: default.fuzz.runs = 16
    function testRefusesARoundThatIsNotPosted(uint32 number) public {
        vm.assume(number != 1 && number != 2);
        SeedProof memory proof = theProof();
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        masked().challengeSeed(number, proof);
    }

    // ------------------------------------------------------------------ what is refused

    function testARightSeedIsRight() public {
        for (uint256 number; number < MEMBERS; ++number) {
            if (number == STAYED || number == GONE) continue;
            refuse(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector), seedProof(number, posted));
        }
    }

    /// forge-config: default.fuzz.runs = 16
    function testTheNumberOnBothSides(uint16 number) public {
        SeedProof memory proof = seedProof(GONE, posted);
        proof.number = uint16(bound(number, MEMBERS, type(uint16).max));
        refuse(abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, proof.number, MEMBERS), proof);
        proof.number = uint16(MEMBERS - 1);
        challenge(proof);
    }

    /// forge-config: default.fuzz.runs = 16
    function testTheSeedsArePosted(uint256 at, bytes16 seed) public {
        SeedProof memory proof = theProof();
        at %= MEMBERS;
        vm.assume(seed != posted[at]);
        proof.seeds[at] = seed;
        bytes32 given = keccak256(abi.encode(proof.seeds));
        bytes32 expected = masks.seedsHashOf(1, AGGREGATOR);
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongSeeds.selector, given, expected), proof);
    }

    function testTheDepartedAreFixed() public {
        SeedProof memory proof = theProof();
        proof.departed.exclusions[0].reason = 3;
        bytes32 given = keccak256(abi.encode(proof.departed.exclusions));
        Survivors memory stayed = masks.survivorsOf(1);
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongDeparted.selector, given, stayed.exclusionsHash), proof);
        proof = theProof();
        proof.departed.absentees[0] = worker(0);
        given = keccak256(abi.encode(proof.departed.absentees));
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongDeparted.selector, given, stayed.absenteesHash), proof);
    }

    function testTheRingIsStored() public {
        SeedProof memory proof = theProof();
        (proof.setUps[0], proof.setUps[1]) = (proof.setUps[1], proof.setUps[0]);
        bytes32 given = ringOf(proof.setUps);
        bytes32 expected = masks.ringDigestOf(1);
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongRing.selector, given, expected), proof);
        proof = theProof();
        proof.setUps = Vectors.without(proof.setUps, 5, 6);
        given = ringOf(proof.setUps);
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongRing.selector, given, expected), proof);
    }

    function ringOf(bytes32[] memory digests) private pure returns (bytes32 ring) {
        for (uint256 i; i < digests.length; ++i) {
            ring = linked(ring, digests[i]);
        }
    }

    function testTheLeafIsTheSurvivors() public {
        SeedProof memory proof = theProof();
        proof.leaf = leafOf(survivor(STAYED) - 1);
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, survivor(STAYED)), proof);
        proof = theProof();
        proof.leaf.participant = worker(0);
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, survivor(STAYED)), proof);
    }

    function testTheSetUpIsTheOwners() public {
        SeedProof memory proof = theProof();
        proof.owner = setUpOf(0);
        refuse(
            abi.encodeWithSelector(ISecureAggregation.WrongMember.selector, worker(0), worker(survivor(STAYED))), proof
        );
        proof = seedProof(GONE, posted);
        proof.owner = setUpOf(LEFT_OUT);
        refuse(
            abi.encodeWithSelector(ISecureAggregation.WrongMember.selector, worker(LEFT_OUT), worker(SUBMITTING)), proof
        );
    }

    /// forge-config: default.fuzz.runs = 16
    function testTheSetUpIsInTheRing(uint256 what, bytes32 value) public {
        SeedProof memory proof = theProof();
        bytes32 before = setUpDigest(proof.owner);
        if (what % 4 == 0) proof.owner.roundKey = value;
        if (what % 4 == 1) proof.owner.keyCommitment = value;
        if (what % 4 == 2) proof.owner.maskCommitment = value;
        if (what % 4 == 3) proof.owner.sharesHash = value;
        bytes32 digest = setUpDigest(proof.owner);
        vm.assume(digest != before);
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongRing.selector, digest, bytes32(0)), proof);
    }
}
