"""For tests: SoftHSM tokens, the driver contract and the pytest plug-in."""
