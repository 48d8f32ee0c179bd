"""Measure homomorphic encryption of lanes; print the tables of docs/homomorphic-encryption.md.

python scripts/measure_encryption.py
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import TypeVar

import numpy as np
import tenseal

from fl_chain.commitment.chunks import LANE, Lanes, lane_bytes
from fl_chain.encryption import seal
from fl_chain.encryption.ciphertexts import residues, sum_ciphertexts
from fl_chain.encryption.keys import SecretKey, new_secret_key
from fl_chain.encryption.lanes import decrypt, encrypt
from fl_chain.encryption.scheme import (
    DEGREE,
    KEY_PRIME_BITS,
    MAX_SUMMANDS,
    PLAIN_MODULUS,
    least_noise_budget_bits,
)

Made = TypeVar("Made")
SUMMANDS = (1, 2, 8, 64, MAX_SUMMANDS)
PARTICIPANTS = 8


def main() -> None:
    """Print sizes and times, noise budgets, and whether TenSEAL's own sums are the same in every order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=int, nargs="*", default=(1000, 100_000, 1_000_000))
    options = parser.parse_args()
    secret, took_s = timed(new_secret_key)
    size = f"{len(secret.public.content):,} bytes public, {len(secret.content):,} secret"
    print(f"A key is made in {took_s:.3f} s and has {size}.\n")
    header = ("lanes", "bytes in the clear", "bytes encrypted", "encrypt s", "add 8 s", "decrypt s")
    print_row(header)
    print_row("---" for _ in header)
    for dimension in options.lanes:
        print_row(row(secret, dimension))
    print("\n| summands | noise budget, least of 64 blocks, bits | proven, bits |\n|---|---|---|")
    for summands in SUMMANDS:
        found = noise_budget_bits(secret, summands)
        print_row((str(summands), str(found), str(least_noise_budget_bits(summands))))
    print()
    print_orders()


def timed(act: Callable[[], Made]) -> tuple[Made, float]:
    """Return what a call gives, and its seconds."""
    begun_s = time.perf_counter()
    made = act()
    return made, time.perf_counter() - begun_s


def random_lanes(seed: int, dimension: int) -> Lanes:
    """Return lanes of which every bit is drawn."""
    return np.random.default_rng(seed).integers(0, 2**32, dimension, dtype=np.uint32).astype(LANE)


def row(secret: SecretKey, dimension: int) -> tuple[str, ...]:
    """Return a row of the table of sizes and times; adding includes the commitment to the sum."""
    lanes = random_lanes(0, dimension)
    ciphertext, encrypt_s = timed(lambda: encrypt(lanes, secret.public))
    total, add_s = timed(lambda: sum_ciphertexts([ciphertext] * PARTICIPANTS, dimension))
    exact, decrypt_s = timed(lambda: decrypt(total.total, secret, dimension, summands=total.summands))
    if not np.array_equal(exact, PARTICIPANTS * lanes.view(">i4").astype(np.int64)):
        raise SystemExit("the sum does not decrypt to the sum of the lanes")
    sizes = f"{dimension:,}", f"{lanes.nbytes:,}", f"{ciphertext.nbytes:,}"
    return *sizes, f"{encrypt_s:.3f}", f"{add_s:.3f}", f"{decrypt_s:.3f}"


def noise_budget_bits(secret: SecretKey, summands: int) -> int:
    """Return what SEAL says is left after a sum of the most extreme lanes, least of 64 blocks."""
    dimension = 64 * DEGREE
    extreme = np.full(dimension, 2**31, dtype=LANE)
    fresh = (encrypt(extreme, secret.public) for _ in range(summands))
    total = sum_ciphertexts(fresh, dimension).total
    decryptor = seal.Decryptor(secret.numbers, secret.public.numbers)
    return min(decryptor.decrypted(block)[1] for block in residues(total, dimension))


def print_orders() -> None:
    """Say whether TenSEAL's own additions give the same bytes in every order, and as often."""
    for name, primes in (("these parameters", list(KEY_PRIME_BITS)), ("SEAL's default primes", [])):
        context = tenseal.context(
            tenseal.SCHEME_TYPE.BFV, DEGREE, PLAIN_MODULUS, coeff_mod_bit_sizes=primes, n_threads=1
        )
        vectors = [tenseal.bfv_vector(context, random_lanes(seed, DEGREE).tolist()) for seed in range(8)]
        loaded = [tenseal.bfv_vector_from(context, vector.serialize()) for vector in vectors]
        fours = [reduce(add, vectors[:4]), reduce(add, vectors[4:])]
        sums = [reduce(add, vectors), reduce(add, vectors[::-1]), reduce(add, fours), reduce(add, loaded)]
        digests = {hashlib.sha256(one.serialize()).hexdigest() for one in sums}
        print(f"{name}: forward, reverse, as a tree and loaded again: {len(digests)} digest(s) of the sum")
        thrice = (vectors[0] + vectors[0] + vectors[0]).serialize()
        is_same = (vectors[0] * 3).serialize() == thrice
        print(f"{name}: a product with 3 has the bytes of three additions: {is_same}")
    secret = new_secret_key()
    ciphertexts = [encrypt(random_lanes(seed, DEGREE), secret.public) for seed in range(8)]
    orders = (ciphertexts, ciphertexts[::-1], ciphertexts[4:] + ciphertexts[:4])
    found = {bytes(lane_bytes(sum_ciphertexts(order, DEGREE).total)) for order in orders}
    print(f"fl_chain's addition: {len(found)} digest(s) in three orders")


def print_row(cells: object) -> None:
    """Print a row of a table."""
    print("| " + " | ".join(cells) + " |")  # type: ignore[arg-type, call-overload]


if __name__ == "__main__":
    main()
