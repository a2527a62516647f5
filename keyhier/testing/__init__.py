"""For tests: tokens of four PKCS#11 modules, the driver contract and the pytest plug-in."""
