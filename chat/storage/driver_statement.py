"""Statements of the hot path, which SQLAlchemy compiles once and the driver executes.

SQLAlchemy prepares the parameters of every execution anew, which takes longer than the driver needs
to execute it. Here the SQL and the conversions of the types are kept
(https://docs.sqlalchemy.org/en/20/core/connections.html#working-with-driver-sql-and-raw-dbapi-connections).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Select,
    Update,
    bindparam,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Convert: TypeAlias = Callable[[Any], Any]
Parameters: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class _Compiled:
    """A statement for one dialect: its SQL, the names of its parameters, and conversions.

    `to_driver` and `from_driver` hold the position and the conversion of each parameter, and of
    each column of a result, that needs one.
    """

    sql: str
    names: tuple[str, ...]
    to_driver: tuple[tuple[int, Convert], ...]
    from_driver: tuple[tuple[int, Convert], ...]
    is_positional: bool

    def bind(self, parameters: Parameters) -> Any:
        """Return the parameters as the driver takes them: a tuple or a dict."""
        values = _converted([parameters[name] for name in self.names], self.to_driver)
        return tuple(values) if self.is_positional else dict(zip(self.names, values, strict=True))

    def convert_row(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return a row of a result with values of Python's types."""
        return _converted(row, self.from_driver)


def _converted(
    values: Sequence[Any], conversions: tuple[tuple[int, Convert], ...]
) -> Sequence[Any]:
    """Return values of which some are converted. NULL is the same in Python and in the driver."""
    if not conversions:
        return values
    converted = list(values)
    for position, convert in conversions:
        if converted[position] is not None:
            converted[position] = convert(converted[position])
    return converted


class ListParameter:
    """The values of an `IN` list: `names` of its parameters, and `values` by name.

    The first value is repeated until there are a power of two, so that few statements have to be
    compiled. There has to be a value.
    """

    def __init__(self, prefix: str, values: Collection[object]) -> None:
        padded = list(values)
        count = 1 << (len(padded) - 1).bit_length()
        padded += padded[:1] * (count - len(padded))
        self.names = list_names(prefix, count)
        self.values = dict(zip(self.names, padded, strict=True))


def list_names(prefix: str, count: int) -> list[str]:
    """Return the names of the parameters of an `IN` list."""
    return [f"{prefix}_{number}" for number in range(count)]


def is_in(column: ColumnElement[Any], names: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a column has the value of one of these parameters."""
    return column.in_([bindparam(name, type_=column.type) for name in names])


class DriverStatement:
    """An INSERT, UPDATE or SELECT whose parameters are `names`, in any order.

    An INSERT needs a value for every column that has a default in Python.
    It is compiled when it is first executed with a dialect.
    """

    def __init__(self, statement: Insert | Update | Select[Any], names: Sequence[str]) -> None:
        self._statement = statement
        self._names = list(names)
        self._compiled: dict[str, _Compiled] = {}

    def execute_many(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Execute an INSERT or UPDATE once for each row.

        For several rows of PostgreSQL, SQLAlchemy sends one INSERT instead of one for each.
        """
        if len(rows) > 1 and connection.dialect.name != "sqlite":
            connection.execute(self._statement, list(rows))
            return
        compiled = self._for(connection.dialect)
        bound = [compiled.bind(row) for row in rows]
        connection.exec_driver_sql(compiled.sql, bound)

    def rows(self, connection: Connection, parameters: Parameters) -> list[Sequence[Any]]:
        """Execute a SELECT; return the values of its columns."""
        compiled = self._for(connection.dialect)
        result = connection.exec_driver_sql(compiled.sql, compiled.bind(parameters))
        return [compiled.convert_row(row) for row in result]

    def _for(self, dialect: Dialect) -> _Compiled:
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._compile(dialect)
        return compiled

    def _compile(self, dialect: Dialect) -> _Compiled:
        compiler = self._statement.compile(dialect=dialect, column_keys=self._names)
        assert isinstance(compiler, SQLCompiler)  # noqa: S101  # statements are SQL, not DDL
        positional_names = compiler.positiontup
        names = tuple(self._names if positional_names is None else positional_names)
        return _Compiled(
            compiler.string,
            names,
            _with_positions(_to_driver(compiler.binds[name].type, dialect) for name in names),
            _from_driver(self._statement, dialect),
            positional_names is not None,
        )


def _to_driver(type_of_parameter: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    """Return what turns a value into what the driver takes; None when nothing has to be done."""
    return type_of_parameter.dialect_impl(dialect).bind_processor(dialect)


def _from_driver(
    statement: Insert | Update | Select[Any], dialect: Dialect
) -> tuple[tuple[int, Convert], ...]:
    """Return what turns the columns of a result into Python's types, by position."""
    if not isinstance(statement, Select):
        return ()
    return _with_positions(
        column.type.dialect_impl(dialect).result_processor(dialect, None)
        for column in statement.selected_columns
    )


def _with_positions(conversions: Iterable[Convert | None]) -> tuple[tuple[int, Convert], ...]:
    """Return the conversions that there are, each with its position."""
    return tuple((place, each) for place, each in enumerate(conversions) if each is not None)
