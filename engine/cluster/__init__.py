"""Many engines on one topic: one partition, one core, wherever it runs.

    ports.py      what is asked of a broker: whole batches in, outcomes out exactly once
    lane.py       the messages of one partition, as the source of an ordinary runner
    partition.py  one partition: taken over from whoever had it, decided, published, handed on
    crew.py       the partitions of one worker, stepped in turn in one thread
    topic_tail.py a partition of a topic of outcomes, followed like a stream of a folder
    carrier.py    what carries commands and restrictions of all partitions out, for `weir outlets`

The topic is the truth: its offset is the order, and everything that decides comes through it (ticks and the labels that
verdicts give, too), so any worker derives the same from it (law 3). What is a journal elsewhere is here the proof of
what one owner did. Nothing in this folder knows Kafka; engine/brokers/kafka/ does, and a twin in memory in the tests.
"""
