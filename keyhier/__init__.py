"""keyhier: one key hierarchy, any HSM."""
