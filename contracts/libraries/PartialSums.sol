// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Where partial sums stand in a posted list
/// @dev Groups of eight, level by level, until one sum is left: level 1 first, left to right, the total last.
library PartialSums {
    /// @dev Submissions, or lower partial sums, that one partial sum adds up.
    uint256 internal constant FAN_IN = 8;

    /// @notice How many sums a posting of so many submissions lists.
    function count(uint256 submissions) internal pure returns (uint256 sums) {
        uint256 size = submissions;
        do {
            size = above(size);
            sums += size;
        } while (size > 1);
    }

    /// @notice What a listed sum adds up.
    /// @param index its place in the list, less than `count(submissions)`.
    /// @return isFirstLevel whether it adds submissions; it adds listed sums otherwise.
    /// @return first the first of them: index of a submission, or place in the list.
    /// @return last the one after the last of them.
    function summands(uint256 index, uint256 submissions)
        internal
        pure
        returns (bool isFirstLevel, uint256 first, uint256 last)
    {
        uint256 below = submissions;
        uint256 size = above(below);
        uint256 start;
        isFirstLevel = true;
        while (index >= size) {
            if (!isFirstLevel) start += below;
            isFirstLevel = false;
            index -= size;
            below = size;
            size = above(below);
        }
        first = index * FAN_IN;
        last = first + FAN_IN < below ? first + FAN_IN : below;
        first += start;
        last += start;
    }

    /// @dev How many sums add up so many summands.
    function above(uint256 size) private pure returns (uint256) {
        return (size + FAN_IN - 1) / FAN_IN;
    }
}
