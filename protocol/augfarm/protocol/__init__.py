"""What broker, worker and client share: the wire, batches and pipelines as data, errors, limits, seeds."""
