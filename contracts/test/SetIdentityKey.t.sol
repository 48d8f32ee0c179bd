// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./MaskedTest.sol";

contract SetIdentityKeyTest is MaskedTest {
    function setUp() public override {
        super.setUp();
        admit(0);
    }

    function set(address signer, bytes32 key) private {
        vm.prank(signer);
        masks.setIdentityKey(key);
    }

    function testStoresTheKeyForEver(bytes32 key, bytes32 other) public {
        vm.assume(uint256(key) > 1 << 249 && uint256(other) != 0);
        vm.expectEmit(address(masks));
        emit ISecureAggregation.IdentityKeySet(worker(0), key);
        set(worker(0), key);
        vm.assertEq(masks.identityKeyOf(worker(0)), key);

        expectError(abi.encodeWithSelector(ISecureAggregation.IdentityKeyFixed.selector, worker(0)));
        set(worker(0), other);
        vm.assertEq(masks.identityKeyOf(worker(0)), key);
    }

    function testAStrangerHasNone(address stranger) public {
        vm.assume(stranger != worker(0));
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, stranger));
        set(stranger, "key");
    }

    function testAKeyOfLowOrderIsRefused() public {
        bytes32 one = bytes32(uint256(1) << 248);
        expectError(abi.encodeWithSelector(ISecureAggregation.KeyOfLowOrder.selector, bytes32(0)));
        set(worker(0), 0);
        expectError(abi.encodeWithSelector(ISecureAggregation.KeyOfLowOrder.selector, one));
        set(worker(0), one);
        set(worker(0), bytes32(uint256(2) << 248));
    }

    function testAnotherSigningKeySetsTheParticipantsOwn() public {
        register(0);
        vm.prank(worker(0));
        ledger.requestSignerRotation(address(0x5000));
        pass(300);
        vm.prank(address(0x5000));
        ledger.rotateSigner(worker(0));
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, worker(0)));
        set(worker(0), "key");
        set(address(0x5000), "key");
        vm.assertEq(masks.identityKeyOf(worker(0)), "key");
    }
}
