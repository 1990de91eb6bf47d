"""Tests of the files in deploy/ and of the ways to deploy, with the real programs."""
