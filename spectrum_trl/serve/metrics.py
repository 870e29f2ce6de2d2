"""Metrics for Prometheus."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from spectrum_trl.serve.worker import Worker

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counts of requests and tokens, and their times."""

    def __init__(self, worker: Worker) -> None:
        """Begin at zero.

        Args:
            worker: Whose queue is shown.
        """
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "spectrum_requests", "Requests answered.", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "spectrum_request_seconds",
            "Time from a request to the end of its answer.",
            ["path"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.first_token = Histogram(
            "spectrum_first_token_seconds",
            "Time from a request for a stream to its first piece.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.tokens = Counter("spectrum_tokens", "Tokens read and written.", ["kind"], registry=self.registry)
        for name, help, value in (
            ("spectrum_waiting_requests", "Requests that wait for the model.", lambda: worker.waiting),
            ("spectrum_running_requests", "Requests that the model computes.", lambda: worker.running),
        ):
            Gauge(name, help, registry=self.registry).set_function(value)

    def page(self) -> tuple[bytes, str]:
        """Return the page that Prometheus reads, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
