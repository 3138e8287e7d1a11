"""Everything is tested on a real PostgreSQL and a real Kafka broker."""
