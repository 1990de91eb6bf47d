"""Storage: database access, migrations at start-up, and the journal, which is the only writer."""
