// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskedTest.sol";

/// @notice Participants whose keys sign here.
contract SetUpKeysOfTest is MaskedTest {
    function privateKeyOf(uint256 i) private pure returns (uint256) {
        return 0x1234 + i;
    }

    function worker(uint256 i) internal pure override returns (address) {
        return vm.addr(privateKeyOf(i));
    }

    function signedBy(uint256 privateKey, uint32 number, SetUp memory one) private view returns (SignedSetUp memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, masks.setUpHash(number, one));
        return SignedSetUp(one, r, s | bytes32(uint256(v - 27) << 255));
    }

    function signedSetUps(uint256 count) private view returns (SignedSetUp[] memory list) {
        list = new SignedSetUp[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = signedBy(privateKeyOf(i), latest(), setUpOf(i));
        }
    }

    function bring(SignedSetUp[] memory list) private {
        uint32 number = latest();
        vm.prank(STRANGER);
        masks.setUpKeysOf(number, list);
    }

    function testTheHashIsOfEip191() public {
        openMasked(3);
        SetUp memory one = setUpOf(1);
        bytes memory content =
            abi.encodePacked(bytes2(0x1900), masks, uint64(block.chainid), uint64(1), setUpDigest(one));
        vm.assertEq(masks.setUpHash(1, one), keccak256(content));
    }

    function testJoinsAsIfEachHadCome() public {
        openMasked(4);
        uint256 snapshot = vm.snapshotState();
        setUpAll(4);
        bytes32 digest = masks.ringDigestOf(1);
        bytes32 ring = keccak256(abi.encode(masks.keyRingOf(1)));
        vm.revertToState(snapshot);
        SignedSetUp[] memory list = signedSetUps(4);
        for (uint16 i; i < 4; ++i) {
            SetUp memory one = list[i].setUp;
            vm.expectEmit(address(masks));
            emit ISecureAggregation.KeysSetUp(
                1, worker(i), i, one.roundKey, one.keyCommitment, one.maskCommitment, one.sharesHash
            );
        }
        bring(list);
        vm.assertEq(masks.ringDigestOf(1), digest);
        vm.assertEq(keccak256(abi.encode(masks.keyRingOf(1))), ring);
        submitAll(4);
        vm.assertEq(uint256(round().status), uint256(RoundStatus.Closed));
    }

    function testWhoHasComeItselfKeepsNobodyOut() public {
        openMasked(4);
        SignedSetUp[] memory list = signedSetUps(4);
        setUpKeys(2);
        bring(list);
        vm.assertEq(masks.keyRingOf(1).members, 4);
        vm.assertEq(masks.keyRingOf(1).joined, 4);
        bytes32 digest = linked(0, setUpDigest(setUpOf(2)));
        digest = linked(linked(digest, setUpDigest(setUpOf(0))), setUpDigest(setUpOf(1)));
        vm.assertEq(masks.ringDigestOf(1), linked(digest, setUpDigest(setUpOf(3))));
    }

    function testWhoLeftKeepsNobodyOut() public {
        openMasked(4);
        SignedSetUp[] memory list = signedSetUps(4);
        vm.prank(worker(2));
        ledger.leave();
        bring(list);
        vm.assertEq(masks.keyRingOf(1).members, 3);
        vm.assertTrue(masks.keyRingOf(1).isComplete);
    }

    /// forge-config: default.fuzz.runs = 64
    /// @notice Whatever is changed of what was signed, its participant does not join by it.
    function testASignatureIsOfOneSetUp(uint256 what, bytes32 value) public {
        openMasked(3);
        SignedSetUp[] memory list = signedSetUps(2);
        SetUp memory one = list[1].setUp;
        bytes32 before = keccak256(abi.encode(list[1]));
        what %= 7;
        if (what == 0) one.participant = worker(2);
        if (what == 1) one.roundKey = keccak256(abi.encode(value));
        if (what == 2) one.keyCommitment = value;
        if (what == 3) one.maskCommitment = value;
        if (what == 4) one.sharesHash = value;
        if (what == 5) list[1].r = value;
        if (what == 6) list[1].vs = value;
        vm.assume(keccak256(abi.encode(list[1])) != before);
        bring(list);
        vm.assertEq(masks.keyRingOf(1).members, 1);
        vm.assertEq(masks.ringDigestOf(1), linked(0, setUpDigest(setUpOf(0))));
    }

    function testASignatureIsOfItsSigner() public {
        openMasked(3);
        SignedSetUp[] memory list = signedSetUps(1);
        list[0] = signedBy(privateKeyOf(1), 1, setUpOf(0));
        bring(list);
        list[0] = signedBy(77, 1, setUpOf(0));
        bring(list);
        vm.assertEq(masks.keyRingOf(1).members, 0);
    }

    function testASignatureIsOfOneRound() public {
        openMasked(3);
        SignedSetUp[] memory list = signedSetUps(3);
        pass(100);
        ledger.closeRound(1);
        bring(list);
        vm.assertEq(latest(), 2);
        vm.assertEq(masks.keyRingOf(2).members, 0);
    }

    function testASignatureIsOfOneLedger() public {
        openMasked(3);
        SignedSetUp[] memory list = signedSetUps(3);
        super.setUp();
        openMasked(3);
        bring(list);
        vm.assertEq(masks.keyRingOf(1).members, 0);
    }

    function testTheSignerInForceSigns() public {
        openMasked(3);
        vm.prank(worker(0));
        ledger.requestSignerRotation(vm.addr(77));
        pass(300);
        vm.prank(vm.addr(77));
        ledger.rotateSigner(worker(0));
        ledger.closeRound(1);
        SignedSetUp[] memory list = signedSetUps(1);
        bring(list);
        vm.assertEq(masks.keyRingOf(2).members, 0);
        list[0] = signedBy(77, 2, setUpOf(0));
        bring(list);
        vm.assertEq(masks.keyRingOf(2).members, 1);
    }

    function testABarredOneIsLeftOut() public {
        openMasked(4);
        suspend(3);
        pass(100);
        ledger.closeRound(1);
        bring(signedSetUps(4));
        vm.assertEq(masks.keyRingOf(2).members, 3);
    }

    function testNobodyFollowsWhenAllHaveJoined() public {
        openMasked(5);
        closeLatest(3, 3);
        postLatest(AGGREGATOR, 3, 3);
        bring(signedSetUps(5));
        vm.assertEq(masks.keyRingOf(2).members, 3);
        vm.assertTrue(masks.keyRingOf(2).isComplete);
        SignedSetUp[] memory list = signedSetUps(1);
        expectError(abi.encodeWithSelector(ISecureAggregation.KeysClosed.selector, 2));
        masks.setUpKeysOf(2, list);
    }

    function testTheQuarterOnBothSides() public {
        openMasked(3);
        SignedSetUp[] memory list = signedSetUps(1);
        pass(KEYS_SECONDS);
        expectError(abi.encodeWithSelector(ISecureAggregation.KeysClosed.selector, 1));
        masks.setUpKeysOf(1, list);
        vm.warp(block.timestamp - 1);
        bring(list);
    }

    /// forge-config: default.fuzz.runs = 32
    function testRefusesARoundThatIsNotOpen(uint32 number) public {
        vm.assume(number > 1);
        openMasked(3);
        SignedSetUp[] memory list = signedSetUps(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.WrongStatus.selector, number, RoundStatus.None));
        masks.setUpKeysOf(number, list);
    }

    function testTheGraphIsDrawnFirst() public {
        openMasked(65);
        SignedSetUp[] memory list = signedSetUps(65);
        vm.prank(STRANGER);
        expectError(abi.encodeWithSelector(ISecureAggregation.GraphNotDrawn.selector, 1));
        masks.setUpKeysOf(1, list);
        draw();
        bring(list);
        vm.assertTrue(masks.keyRingOf(1).isComplete);
    }

    function testWhoCameLaterIsNotInTheGraph() public {
        openMasked(65);
        admit(65);
        register(65);
        pass(13);
        draw();
        identify(65);
        SignedSetUp[] memory list = signedSetUps(66);
        vm.prank(STRANGER);
        expectError(abi.encodeWithSelector(ISecureAggregation.NotInGraph.selector, worker(65)));
        masks.setUpKeysOf(1, list);
    }

    function testRefusesWhoHasNoIdentityKey() public {
        open(3);
        SignedSetUp[] memory list = signedSetUps(1);
        expectError(abi.encodeWithSelector(ISecureAggregation.NoIdentityKey.selector, worker(0)));
        masks.setUpKeysOf(1, list);
    }

    function testRefusesAKeyOfLowOrder() public {
        openMasked(3);
        SetUp memory one = setUpOf(0);
        one.roundKey = 0;
        SignedSetUp[] memory list = new SignedSetUp[](1);
        list[0] = signedBy(privateKeyOf(0), 1, one);
        expectError(abi.encodeWithSelector(ISecureAggregation.KeyOfLowOrder.selector, bytes32(0)));
        masks.setUpKeysOf(1, list);
    }
}
