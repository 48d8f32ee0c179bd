"""Differential privacy: what a run's rounds give away at most, and the secret noise that bounds it.

Pure functions on plain numbers; torch stays in `fl_chain.learning`, the ledger's integers in
`fl_chain.policy`.
"""
