"""Sums of updates that nobody but the holders of a cohort's key can read.

Additively homomorphic encryption by the scheme of Brakerski (CRYPTO 2012) and of Fan and Vercauteren (IACR
ePrint 2012/144), called BFV, as Microsoft SEAL implements it and TenSEAL brings it to Python. Both are an
optional extra and needed to make keys, to encrypt and to decrypt. Adding is modular addition of integers and
needs neither. Pure functions: bytes and lanes in, bytes and lanes out; only keys and ciphertexts draw
randomness, from the operating system, inside SEAL, which takes none as an argument here.
"""
