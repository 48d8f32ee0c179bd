// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import "./LedgerTest.sol";

contract RequestSignerRotationTest is LedgerTest {
    address private constant KEY = address(0x5000);

    function request(address caller, address signer) private {
        vm.prank(caller);
        ledger.requestSignerRotation(signer);
    }

    function rotate(address signer, address participant) private {
        vm.prank(signer);
        ledger.rotateSigner(participant);
    }

    function testRequestSaysWhenItIsDue(address signer) public {
        vm.assume(signer != address(0) && signer != worker(0));
        join(1);
        expectEvent();
        emit ITrainingLedger.SignerRotationRequested(worker(0), signer, uint40(block.timestamp + 300));
        request(worker(0), signer);
        vm.assertEq(ledger.participantOf(worker(0)).signer, worker(0));
    }

    function testTheKeyInUseCancels() public {
        join(1);
        request(worker(0), KEY);
        expectEvent();
        emit ITrainingLedger.SignerRotationRequested(worker(0), worker(0), 0);
        request(worker(0), worker(0));
        pass(300);
        expectError(abi.encodeWithSelector(ITrainingLedger.NoRotationPending.selector, worker(0)));
        rotate(KEY, worker(0));
    }

    function testAskingAgainReplaces() public {
        join(1);
        request(worker(0), KEY);
        pass(299);
        request(worker(0), STRANGER);
        pass(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRequestedSigner.selector, KEY, STRANGER));
        rotate(KEY, worker(0));
    }

    function testRefusesAKeyThatIsTaken() public {
        join(2);
        expectError(abi.encodeWithSelector(ITrainingLedger.SignerTaken.selector, worker(1)));
        request(worker(0), worker(1));
    }

    function testRefusesAKeyThatAnotherRotatedTo() public {
        join(2);
        request(worker(1), KEY);
        pass(300);
        rotate(KEY, worker(1));
        expectError(abi.encodeWithSelector(ITrainingLedger.SignerTaken.selector, KEY));
        request(worker(0), KEY);
    }

    function testRefusesAnotherIdentitysFirstKey() public {
        join(2);
        request(worker(1), KEY);
        pass(300);
        rotate(KEY, worker(1));
        expectError(abi.encodeWithSelector(ITrainingLedger.SignerTaken.selector, worker(1)));
        request(worker(0), worker(1));
    }

    function testRefusesTheZeroAddressAndTheUnregistered(address caller) public {
        expectError(abi.encodeWithSelector(ITrainingLedger.NotRegistered.selector, caller));
        request(caller, KEY);
        join(1);
        expectError(abi.encodeWithSelector(ITrainingLedger.ZeroAddress.selector));
        request(worker(0), address(0));
    }
}
