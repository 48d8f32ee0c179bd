// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice Whatever its owner makes of it: sends any call, and on receiving coin repeats one call, or refuses.
contract HostileAccount {
    address private immutable OWNER = msg.sender;

    address public target;
    bytes public repeated;
    uint256 public times;
    bool public isRefusing;

    /// @notice Sends a call on; what it reverts with is handed back.
    function send(address to, uint256 valueWei, bytes calldata data) external payable {
        (bool isDone, bytes memory answer) = to.call{ value: valueWei }(data);
        if (!isDone) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    /// @notice Says which call is made, and how often, when coin comes in.
    function onReceipt(address to, bytes calldata data, uint256 count) external {
        (target, repeated, times) = (to, data, count);
    }

    /// @notice Takes no coin any more.
    function refuse() external {
        isRefusing = true;
    }

    receive() external payable {
        require(!isRefusing, "no");
        if (times == 0) return;
        --times;
        (bool isDone, bytes memory answer) = target.call(repeated);
        if (!isDone) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}

/// @notice A token that lies about transfers: it keeps a fee, or moves nothing and says so or not, or burns.
contract HostileToken is ERC20 {
    uint256 public feeWei;
    bool public isSulking;

    constructor() ERC20("Hostile", "HST") { }

    function mint(address account, uint256 amountWei) external {
        _mint(account, amountWei);
    }

    function burn(address account, uint256 amountWei) external {
        _burn(account, amountWei);
    }

    function keep(uint256 amountWei) external {
        feeWei = amountWei;
    }

    function sulk() external {
        isSulking = true;
    }

    function transferFrom(address from, address to, uint256 amountWei) public override returns (bool) {
        if (isSulking) return false;
        _spendAllowance(from, msg.sender, amountWei);
        _transfer(from, to, amountWei - feeWei);
        if (feeWei != 0) _burn(from, feeWei);
        return true;
    }
}
