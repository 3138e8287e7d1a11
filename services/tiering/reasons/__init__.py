"""Why (为什么): a decision with its policy, inputs, thresholds, rank and neighbours, and the same in Chinese and English."""

from services.tiering.reasons.answers import explain, read_decision

__all__ = ["explain", "read_decision"]
