"""Delivery: per-room order on a worker, the bus between workers, and the repair of gaps."""
