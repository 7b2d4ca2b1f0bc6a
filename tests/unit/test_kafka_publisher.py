"""What the publisher changes in aiokafka is still there to be changed."""

import pytest

pytest.importorskip("aiokafka")

from aiokafka.errors import ConcurrentTransactions
from aiokafka.producer import sender

from engine.brokers.kafka import transacting


def test_a_transaction_that_follows_another_is_asked_for_again_at_once():
    """aiokafka reads its waiting time where we set it; a new version that does not would cost 20 ms a transaction."""

    class Response:
        errors = [("topic", [(0, ConcurrentTransactions.errno)])]

    class Manager:
        txn_partitions = frozenset()

    class Sender:
        _txn_manager, _retry_backoff = Manager(), 0.1

    handler = sender.AddPartitionsToTxnHandler(Sender(), [])
    assert handler.handle_response(Response()) == transacting.CONCURRENT_S < 0.02


def test_offsets_are_added_again_at_once_too():
    """What a transaction holds is said in two requests, and both may come while the one before is being finished."""

    class Response:
        error_code = ConcurrentTransactions.errno

    class Sender:
        _txn_manager, _retry_backoff = object(), 0.1

    handler = transacting._AddOffsets(Sender(), "group")
    assert handler.handle_response(Response()) == transacting.CONCURRENT_S
