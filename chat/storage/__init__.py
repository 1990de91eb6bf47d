"""Storage: database access, migrations at start-up, and the journal, which stores all changes."""
