// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract RotateSignerTest is LedgerTest {
    address private constant KEY = address(0x5000);

    function request(address caller, address signer) private {
        vm.prank(caller);
        ledger.requestSignerRotation(signer);
    }

    function rotate(address signer, address participant) private {
        vm.prank(signer);
        ledger.rotateSigner(participant);
    }

    function testRotates(address signer) public {
        vm.assume(signer != address(0) && signer != worker(0));
        join(1);
        request(worker(0), signer);
        pass(300);
        expectEvent();
        emit ITrainingLedger.SignerRotated(worker(0), worker(0), signer);
        rotate(signer, worker(0));
        vm.assertEq(ledger.participantOf(worker(0)).signer, signer);
        vm.assertEq(ledger.identityOf(signer), worker(0));
        vm.assertEq(ledger.identityOf(worker(0)), address(0));
    }

    function testTheIdentityStaysInTheLeaf() public {
        open(2);
        request(worker(0), KEY);
        pass(300);
        ledger.closeRound(1);
        rotate(KEY, worker(0));
        bytes32 base = baseRoot();
        vm.prank(KEY);
        ledger.submit(2, base, "sealed", 7);
        vm.assertEq(ledger.leafOf(2, 0), leaf("sealed", 7, worker(0)));
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, worker(0)));
        vm.prank(worker(0));
        ledger.submit(2, base, "sealed", 7);
    }

    function testANewKeyDoesNotSubmitTwice() public {
        Policy memory policy = rules();
        policy.unbondingSeconds = 10;
        deploy(policy, address(0));
        open(2);
        request(worker(0), KEY);
        submit(0);
        pass(10);
        rotate(KEY, worker(0));
        bytes32 base = baseRoot();
        expectError(abi.encodeWithSelector(ITrainingLedger.AlreadySubmitted.selector, 1, worker(0)));
        vm.prank(KEY);
        ledger.submit(1, base, "again", 1);
    }

    function testBackToTheFirstKey() public {
        join(1);
        request(worker(0), KEY);
        pass(300);
        rotate(KEY, worker(0));
        request(KEY, worker(0));
        pass(300);
        rotate(worker(0), worker(0));
        vm.assertEq(ledger.identityOf(worker(0)), worker(0));
        vm.assertEq(ledger.identityOf(KEY), address(0));
    }

    function testRotatesOnce() public {
        join(1);
        request(worker(0), KEY);
        pass(300);
        rotate(KEY, worker(0));
        expectError(abi.encodeWithSelector(ITrainingLedger.NoRotationPending.selector, worker(0)));
        rotate(KEY, worker(0));
    }

    function testRefusesBeforeItIsDue() public {
        join(1);
        request(worker(0), KEY);
        uint40 dueAt = uint40(block.timestamp + 300);
        pass(299);
        expectError(abi.encodeWithSelector(ITrainingLedger.RotationNotDue.selector, dueAt));
        rotate(KEY, worker(0));
        pass(1);
        rotate(KEY, worker(0));
    }

    function testRefusesAnyoneButTheNewKey(address caller) public {
        vm.assume(caller != KEY);
        join(1);
        request(worker(0), KEY);
        pass(300);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRequestedSigner.selector, caller, KEY));
        rotate(caller, worker(0));
    }

    function testRefusesWhereNothingWasAsked(address participant) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.NoRotationPending.selector, participant));
        ledger.rotateSigner(participant);
    }

    function testRefusesAKeyThatWasTakenMeanwhile() public {
        join(1);
        request(worker(0), worker(9));
        admit(9);
        pass(300);
        expectError(abi.encodeWithSelector(ITrainingLedger.SignerTaken.selector, worker(9)));
        rotate(worker(9), worker(0));
    }
}
