"""Presence: who is in a room, on this worker and on the others."""
