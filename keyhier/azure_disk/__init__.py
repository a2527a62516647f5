"""Azure Disk Encryption's formats: what it leaves in a key vault, read, written and opened.

Nothing here reaches a network.
"""
