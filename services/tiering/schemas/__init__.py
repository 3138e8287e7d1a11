"""What HTTP callers of tiering send and receive, one module per room."""
