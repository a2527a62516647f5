"""For tests: SoftHSM tokens, PKCS#11 faults, the driver contract and the pytest plug-in."""
