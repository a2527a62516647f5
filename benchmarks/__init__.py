"""What keyhier costs above the bindings beneath it: ``python -m benchmarks``."""
