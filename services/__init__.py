"""The four services of the suite, and what runs them together."""
