"""The fault scenarios of `make torture`: real servers, clients and faults, and one checker."""
