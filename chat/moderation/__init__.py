"""Moderation: roles, sanctions and rules of rooms."""
