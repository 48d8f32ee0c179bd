// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A plain token; anyone may mint, and burn what anybody holds.
contract PlainToken is ERC20 {
    constructor() ERC20("Plain", "PLN") { }

    function mint(address account, uint256 amountWei) external {
        _mint(account, amountWei);
    }

    function burn(address account, uint256 amountWei) external {
        _burn(account, amountWei);
    }
}

/// @notice A token that keeps one unit of every transfer.
contract FeeToken is PlainToken {
    function _update(address from, address to, uint256 amountWei) internal override {
        bool isTransfer = from != address(0) && to != address(0) && amountWei != 0;
        super._update(from, to, isTransfer ? amountWei - 1 : amountWei);
        if (isTransfer) super._update(from, address(0), 1);
    }
}

/// @notice A token that answers false, and moves nothing, once it is told to.
contract SulkyToken is PlainToken {
    bool public isSulking;

    function sulk() external {
        isSulking = true;
    }

    function transfer(address to, uint256 amountWei) public override returns (bool) {
        return !isSulking && super.transfer(to, amountWei);
    }

    function transferFrom(address from, address to, uint256 amountWei) public override returns (bool) {
        return !isSulking && super.transferFrom(from, to, amountWei);
    }
}

/// @notice A token that answers nothing, as the oldest ones do.
contract SilentToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    function mint(address account, uint256 amountWei) external {
        balanceOf[account] += amountWei;
    }

    function approve(address spender, uint256 amountWei) external {
        allowance[msg.sender][spender] = amountWei;
    }

    function transfer(address to, uint256 amountWei) public {
        balanceOf[msg.sender] -= amountWei;
        balanceOf[to] += amountWei;
    }

    function transferFrom(address from, address to, uint256 amountWei) external {
        allowance[from][msg.sender] -= amountWei;
        balanceOf[from] -= amountWei;
        balanceOf[to] += amountWei;
    }
}

/// @notice A token that changes an allowance only from or to zero.
contract StrictToken is PlainToken {
    error AllowanceNotZero();

    function approve(address spender, uint256 amountWei) public override returns (bool) {
        if (amountWei != 0 && allowance(msg.sender, spender) != 0) revert AllowanceNotZero();
        return super.approve(spender, amountWei);
    }
}
