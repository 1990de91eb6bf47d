"""The torture: real servers, real clients, real faults, one checker, and the table that comes of it."""
