"""The log protocol, its two engines, and the loop."""
