"""The whole suite on one machine, supervised: servers, databases, processes, replay, then service until it is ended.

`crm suite` and `make run` come here. Order: PostgreSQL and Kafka (unless the settings name servers), databases,
migrations and topics, the first clock row of the replay, then one web process for all four services and for each
service a worker and a relay; the replay itself runs in this process.
"""

from services.suite.run import Options, run

__all__ = ["Options", "run"]
