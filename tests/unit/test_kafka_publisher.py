"""What the publisher changes in aiokafka is still there to be changed."""

import pytest

pytest.importorskip("aiokafka")

from aiokafka.errors import ConcurrentTransactions
from aiokafka.producer import sender

from engine.brokers.kafka import desk


def test_a_transaction_that_follows_another_is_asked_for_again_at_once():
    """aiokafka reads its waiting time where we set it; a new version that does not would cost 20 ms a transaction."""

    class Response:
        errors = [("topic", [(0, ConcurrentTransactions.errno)])]

    class Manager:
        txn_partitions = frozenset()

    class Sender:
        _txn_manager, _retry_backoff = Manager(), 0.1

    handler = sender.AddPartitionsToTxnHandler(Sender(), [])
    assert handler.handle_response(Response()) == desk.CONCURRENT_S < 0.02
