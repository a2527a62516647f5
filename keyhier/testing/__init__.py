"""For tests: PKCS#11 tokens and their faults, the driver contract and the pytest plug-in."""
