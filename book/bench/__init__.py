"""The benchmark: what the package costs, against what a user would write, and against itself."""
