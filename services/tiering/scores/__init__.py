"""Scores (评分): what an account is worth next year, how likely it is lost, and what it will ship next month.

`counting` holds the models of buying (numpy and scipy, no I/O); `inputs` writes what each account is scored on, `refresh` scores
all accounts after a close, `risk` and `forecasts` hold the rules, `reading` answers. Nothing here imports numpy but `counting`,
`proof` and `worker_side`, and those are imported only by the run that needs them.
"""
