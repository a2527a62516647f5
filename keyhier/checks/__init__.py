"""Checks of documents: all that is known against them, in one report.

Placement rules, eligibility and the settings themselves. Values in, values out: nothing here
reaches a network or opens a vault.
"""
