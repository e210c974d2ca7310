"""What is claimed of speed, measured beside the limit in the same run."""
