"""Worked jobs on real data: each in a folder with its task, its settings, its page and its results."""
