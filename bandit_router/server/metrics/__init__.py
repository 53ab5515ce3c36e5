"""What Prometheus reads at /metrics: figures of the processes that serve, and of the log."""
