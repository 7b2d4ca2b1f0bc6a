"""Kafka: what engine/cluster/ asks of a broker, with aiokafka, and a Faust worker that hands whole batches over.

connecting.py  how to reach the brokers: TLS, SASL, names
topics.py      the topics, created where that is allowed
publisher.py   outcomes out, exactly once: transactions
bulk.py        batches in: the one place that reaches into Faust
app.py         the worker: membership and assignment by Faust, partitions by the crew
"""
