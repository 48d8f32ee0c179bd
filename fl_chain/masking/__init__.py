"""Masks that hide every single update and cancel in the sum.

Secure aggregation after Bonawitz, Ivanov, Kreuter, Marcedone, McMahan, Patel, Ramage, Segal and Seth,
"Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017 (double masking), with the
graph of Bell, Bonawitz, Gascon, Lepoint and Raykova, "Secure Single-Server Aggregation with
(Poly)Logarithmic Overhead", CCS 2020, for more than 64 participants. Pure functions: bytes and lanes in,
bytes and lanes out, all randomness from arguments.
"""
