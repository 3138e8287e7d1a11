"""The whole suite in its own processes: one replay compared with an independent recount, another with everything killed."""
