// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskProofs.sol";

/// @notice Terms of 1030 lanes: two chunks, the second one of six lanes. One own mask is wrong in the first chunk, one
/// pair's in the last lane, another past it.
contract ChallengeMaskTest is MaskProofs {
    using Vectors for bytes;

    uint256 private constant OWN = 2;
    /// @dev Of number 1, which was left out, with number 4; of number 5, which never submitted, with number 0.
    uint256 private constant PAIR = STAYING + 3;
    uint256 private constant OTHER_PAIR = 2 * STAYING;

    bytes[] private terms;

    function setUp() public override {
        dimension = 1030;
        super.setUp();
        closeUp();
        bytes32[] memory rootsOfTerms = new bytes32[](TERMS);
        for (uint256 i; i < TERMS; ++i) {
            bool isHonest = i < STAYING || i == PAIR || i >= OTHER_PAIR && i < OTHER_PAIR + 2;
            bytes memory vector = isHonest ? term(i) : Vectors.zero(dimension);
            if (i == OWN) vector.add(0, 1);
            if (i == PAIR) vector.add(1029, type(uint32).max);
            if (i == OTHER_PAIR) vector.add(1030, 1);
            terms.push(vector);
            rootsOfTerms[i] = vector.root();
        }
        postTerms(theSeeds(), rootsOfTerms);
        saved = abi.encode(maskProof(OWN, 0, terms[OWN]));
    }

    function theProof() private view returns (MaskProof memory) {
        return abi.decode(saved, (MaskProof));
    }

    function proofOf(uint256 number, uint256 chunk) private view returns (MaskProof memory) {
        return maskProof(number, chunk, terms[number]);
    }

    function challenge(MaskProof memory proof) private {
        vm.prank(STRANGER);
        masked().challengeMask(1, proof);
    }

    function refuse(bytes memory reason, MaskProof memory proof) private {
        expectError(reason);
        challenge(proof);
    }

    function refuseAsRight(uint256 number, uint256 chunk) private {
        MaskProof memory proof = proofOf(number, chunk);
        refuse(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector), proof);
    }

    // ------------------------------------------------------------------ what a right proof does

    function testTakesTheBond() public {
        expectEvent();
        emit ITrainingLedger.PostingFell(1, 0, AGGREGATOR, STRANGER, FallReason.Mask, 1000, 9000);
        expectEvent();
        emit ITrainingLedger.RoundVoided(2, VoidReason.BaseFell);
        challenge(theProof());
        verifyFallen(1, 1);
        vm.assertEq(ledger.accountOf(STRANGER).creditWei, 1000);
        vm.assertEq(ledger.bonusOf(1), 9000);
    }

    function testAWrongPairMaskFalls() public {
        uint256 snapshot = vm.snapshotState();
        challenge(proofOf(PAIR, 1));
        vm.revertToState(snapshot);
        // Zero is no mask either.
        challenge(proofOf(STAYING, 0));
    }

    function testALanePastTheDimensionFalls() public {
        refuseAsRight(OTHER_PAIR, 0);
        challenge(proofOf(OTHER_PAIR, 1));
    }

    function testARightMaskIsRight() public {
        refuseAsRight(OWN, 1);
        refuseAsRight(PAIR, 0);
        uint256[4] memory right = [uint256(0), 1, 3, OTHER_PAIR + 1];
        for (uint256 i; i < right.length; ++i) {
            refuseAsRight(right[i], 0);
            refuseAsRight(right[i], 1);
        }
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
        MaskProof memory proof = theProof();
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        masked().challengeMask(number, proof);
    }

    // ------------------------------------------------------------------ what is refused

    function testTheListIsPosted() public {
        MaskProof memory proof = theProof();
        proof.partialSumRoots[0] = "another";
        bytes32 given = sha256(abi.encodePacked(bytes1(0x03), proof.partialSumRoots));
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongPartialSums.selector, given, ledger.sumsHashOf(1)), proof);
    }

    /// forge-config: default.fuzz.runs = 16
    function testTheTermOnBothSides(uint16 number) public {
        MaskProof memory proof = theProof();
        proof.term = uint16(bound(number, TERMS, type(uint16).max));
        refuse(abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, proof.term, TERMS), proof);
        refuseAsRightPath(TERMS - 1);
    }

    /// @dev The last term there is: another root, so that the path of the proof does not lead to it.
    function refuseAsRightPath(uint256 number) private {
        MaskProof memory proof = theProof();
        proof.term = uint16(number);
        bytes memory call = abi.encodeCall(IMaskedLedger.challengeMask, (1, proof));
        expectRefusal(ITrainingLedger.PathMismatch.selector, call);
    }

    /// forge-config: default.fuzz.runs = 16
    function testTheChunkOnBothSides(uint64 chunk) public {
        MaskProof memory proof = theProof();
        proof.chunk = uint64(bound(chunk, 2, type(uint64).max));
        refuse(abi.encodeWithSelector(ITrainingLedger.ChunkOutOfBounds.selector, proof.chunk, 2), proof);
        proof.chunk = 1;
        expectRefusal(ITrainingLedger.PathMismatch.selector, abi.encodeCall(IMaskedLedger.challengeMask, (1, proof)));
    }

    function testRefusesAForgedDepth() public {
        MaskProof memory proof = theProof();
        proof.path = Vectors.without(proof.path, 0, 1);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "path", 0, 1), proof);
        proof.path = new bytes32[](2);
        refuse(abi.encodeWithSelector(ITrainingLedger.WrongLength.selector, "path", 2, 1), proof);
    }

    function testTheSeedsArePosted() public {
        MaskProof memory proof = theProof();
        bytes32 expected = keccak256(abi.encode(proof.seeds));
        proof.seeds[OWN] = 0;
        bytes32 given = keccak256(abi.encode(proof.seeds));
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongSeeds.selector, given, expected), proof);
    }

    function testTheDepartedAreFixed() public {
        MaskProof memory proof = theProof();
        proof.departed.absentees = new address[](0);
        bytes32 given = keccak256(abi.encode(proof.departed.absentees));
        bytes32 expected = masks.survivorsOf(1).absenteesHash;
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongDeparted.selector, given, expected), proof);
    }

    function testTheRingIsStored() public {
        MaskProof memory proof = theProof();
        proof.setUps = new bytes32[](0);
        bytes32 expected = masks.ringDigestOf(1);
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongRing.selector, bytes32(0), expected), proof);
    }

    function testTheLeafIsTheSurvivors() public {
        MaskProof memory proof = theProof();
        proof.leaf = leafOf(0);
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, survivor(OWN)), proof);
        proof = proofOf(PAIR, 1);
        proof.leaf = leafOf(0);
        refuse(abi.encodeWithSelector(ITrainingLedger.LeafMismatch.selector, 1, 4), proof);
    }

    /// @notice With another round key, another mask would be right.
    function testThePeersSetUpIsInTheRing() public {
        MaskProof memory proof = proofOf(PAIR, 1);
        proof.peer.roundKey = "another";
        bytes32 digest = setUpDigest(proof.peer);
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongRing.selector, digest, bytes32(0)), proof);
        proof.peer = setUpOf(0);
        refuse(abi.encodeWithSelector(ISecureAggregation.WrongMember.selector, worker(0), worker(4)), proof);
    }
}

/// @notice 66 members of a graph: number 1 is left out, numbers 64 and 65 never submitted.
contract ChallengeMaskOfAGraphTest is MaskProofs {
    using Vectors for bytes;

    uint256 private constant COUNT = 66;
    uint256 private constant STAYED = 63;

    struct Pair {
        uint256 gone;
        uint256 peer;
    }

    Pair[] private pairs;
    Exclusion private leftOut;

    function rules() internal view override returns (Policy memory policy) {
        policy = super.rules();
        policy.maxTotalWeight = 10_000;
        policy.clipLanes = 100;
    }

    function setUp() public override {
        dimension = 6;
        super.setUp();
        closeMasked(COUNT, 64);
        pass(20);
        leftOut = excluding(1, 1, 1);
        fix(AGGREGATOR, theExclusions(), people(64, COUNT));
        uint256[] memory order = graphRing();
        uint256 reach = masks.keyRingOf(1).reach;
        uint256[3] memory gone = [uint256(1), 64, 65];
        for (uint256 d; d < 3; ++d) {
            uint256[] memory around = aroundIn(order, reach, gone[d]);
            for (uint256 k; k < around.length; ++k) {
                if (around[k] != 1 && around[k] < 64) pairs.push(Pair(gone[d], around[k]));
            }
        }
        vm.assertEq(masks.survivorsOf(1).terms, STAYED + pairs.length);
    }

    function theExclusions() private view returns (Exclusion[] memory) {
        return only(leftOut);
    }

    function rightTerm(Pair memory pair) private view returns (bytes memory) {
        return maskLanes(pairKey(pair.gone, pair.peer), worker(pair.peer) < worker(pair.gone));
    }

    /// @dev All terms but one are the same vector.
    function postWith(uint256 number, bytes memory vector, bytes memory others) private {
        uint256 terms = STAYED + pairs.length;
        bytes32[] memory rootsOfTerms = new bytes32[](terms);
        for (uint256 i; i < terms; ++i) {
            rootsOfTerms[i] = i == number ? vector.root() : others.root();
        }
        publish(AGGREGATOR, seedsOf(COUNT, 64, theExclusions()));
        listed = Vectors.joined(rootsOfTerms, sums(listLength(64 + terms)));
        postRoots(AGGREGATOR, theExclusions(), listed, "model");
    }

    function proofOf(uint256 number, uint256 peer, bytes memory vector) private view returns (MaskProof memory proof) {
        proof.term = uint16(number);
        proof.chunkHash = vector.chunkHash(0);
        proof.path = vector.path(0);
        proof.partialSumRoots = listed;
        proof.seeds = seedsOf(COUNT, 64, theExclusions());
        proof.departed = Departed(theExclusions(), people(64, COUNT));
        proof.setUps = setUpDigests(COUNT);
        proof.peer = setUpOf(peer);
    }

    function refuse(bytes memory reason, MaskProof memory proof) private {
        expectError(reason);
        masked().challengeMask(1, proof);
    }

    /// forge-config: default.fuzz.runs = 3
    function testATermIsOfItsPair(uint256 draw_, uint256 other) public {
        uint256 number = bound(draw_, 0, pairs.length - 1);
        Pair memory pair = pairs[number];
        other = bound(other, 0, COUNT - 1);
        bytes memory right = rightTerm(pair);
        bytes memory wrong = Vectors.zero(dimension);
        postWith(STAYED + number, right, wrong);
        refuse(
            abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector), proofOf(STAYED + number, pair.peer, right)
        );
        if (other != pair.peer) {
            refuse(
                abi.encodeWithSelector(ISecureAggregation.NotTheVertex.selector, worker(other), pair.peer),
                proofOf(STAYED + number, other, right)
            );
        }
        // Any other term is a mask that is not zero.
        uint256 next = (number + 1) % pairs.length;
        masked().challengeMask(1, proofOf(STAYED + next, pairs[next].peer, wrong));
        verifyFallen(1, 1);
    }

    function testTheLastTermOnBothSides() public {
        uint256 last = STAYED + pairs.length - 1;
        bytes memory right = rightTerm(pairs[pairs.length - 1]);
        postWith(last, right, right);
        uint256 peer = pairs[pairs.length - 1].peer;
        MaskProof memory proof = proofOf(last, peer, right);
        refuse(abi.encodeWithSelector(ITrainingLedger.NothingWrong.selector), proof);
        proof.term += 1;
        refuse(
            abi.encodeWithSelector(ITrainingLedger.IndexOutOfBounds.selector, last + 1, STAYED + pairs.length), proof
        );
    }
}
