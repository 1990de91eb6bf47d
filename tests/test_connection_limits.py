"""The number of open connections of a person or an address."""

from chat.connection_limits import OpenConnections


def test_connections_are_counted_by_key_until_they_end() -> None:
    connections = OpenConnections(2, lambda _: True)
    connections.add("ada", "first")
    connections.add("ada", "second")
    connections.add("ben", "third")

    assert connections.is_full("ada")
    assert not connections.is_full("ben")
    connections.remove("first")
    assert not connections.is_full("ada")


def test_connections_whose_end_was_not_reported_do_not_count() -> None:
    still_open = {"first", "second"}
    connections = OpenConnections(2, still_open.__contains__)
    connections.add("ada", "first")
    connections.add("ada", "second")
    assert connections.is_full("ada")

    still_open.remove("second")

    assert not connections.is_full("ada")
    assert connections.count("ada") == 1


def test_an_unknown_address_has_no_limit() -> None:
    connections = OpenConnections(1, lambda _: True)
    for number in range(5):
        connections.add(None, f"connection {number}")

    assert not connections.is_full(None)


def test_the_end_of_an_unknown_connection_changes_nothing() -> None:
    connections = OpenConnections(1, lambda _: True)
    connections.add("ada", "first")

    connections.remove("unknown")
    connections.remove("first")
    connections.remove("first")

    assert connections.count("ada") == 0
