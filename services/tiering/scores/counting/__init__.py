"""Models that count purchases (流失与终身价值模型): pure, on arrays, each identical history counted once.

BG/NBD, Pareto/NBD, MBG/CNBD-k and Gamma-Gamma share one shape: `log_likelihood`, `fit`, expected purchases, and the chance of no
purchase within a horizon. Time has one unit throughout, whatever the caller chose.
"""
