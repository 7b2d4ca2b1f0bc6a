"""The page that Prometheus reads: the numbers of engine/metrics.py as prometheus-client shows them; and its server."""

import threading
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from engine.metrics import COUNTER, HISTOGRAM, Definition, Metrics, unopened


class Server:
    """The page being served; `port` is the one that was opened."""

    def __init__(self, port: int, server: object, thread: threading.Thread) -> None:
        self.port = port
        self._server, self._thread = server, thread

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()  # type: ignore[attr-defined]
        self._server.server_close()  # type: ignore[attr-defined]
        self._thread.join()


def serve(metrics: Metrics, port: int) -> Server:
    """Serve the page on 127.0.0.1 until the server is closed; port 0 takes a free one."""
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry(metrics))
    except (OSError, OverflowError) as error:
        raise unopened(port, error) from None
    return Server(server.server_port, server, thread)


def registry(metrics: Metrics) -> CollectorRegistry:
    """A registry that shows the numbers of this process, and its memory, time and files beside them."""
    found = CollectorRegistry(auto_describe=False)
    found.register(_Page(metrics))
    ProcessCollector(registry=found)
    return found


class _Page(Collector):
    """What the registry asks each time the page is read; the dicts are copied first, for the engine goes on."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for definition in self._metrics.catalogue.values():
            labels = [definition.label] if definition.label else []
            if definition.kind == HISTOGRAM:
                yield self._histogram(definition, labels)
                continue
            kind = CounterMetricFamily if definition.kind == COUNTER else GaugeMetricFamily
            family = kind(definition.name, definition.meaning, labels=labels)
            for label, value in self._metrics.present(definition.name).items():
                family.add_metric([label] if labels else [], value)
            yield family

    def _histogram(self, definition: Definition, labels: list[str]) -> HistogramMetricFamily:
        family = HistogramMetricFamily(definition.name, definition.meaning, labels=labels)
        for label, spread in dict(self._metrics.spreads(definition.name)).items():
            under, buckets = 0, []
            for bound, n in zip((*spread.bounds, float("inf")), spread.n.copy(), strict=True):
                under += n
                buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(under)))
            family.add_metric([label] if labels else [], buckets, spread.total)
        return family
