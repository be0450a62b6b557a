"""The benchmarks: that they run, and notice a contestant that does less than was asked."""
