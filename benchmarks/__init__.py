"""Figures of speed and memory, measured on generated clusters as ratios to a yardstick in the same run."""
