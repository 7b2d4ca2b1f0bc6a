"""Kafka: what engine/cluster/ asks of a broker, with aiokafka, and a Faust worker that hands whole batches over.

connecting.py  how to reach the brokers: TLS, SASL, names
topics.py      the topics, created where that is allowed
desk.py        outcomes out, exactly once: transactions, and who may publish for which partition
final.py       what a group has committed, where that is final
publisher.py   one partition at the desk
bulk.py        batches in: the one place that reaches into Faust
app.py         the worker: membership and assignment by Faust, partitions by the crew
"""
