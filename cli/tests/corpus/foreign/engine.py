"""DuckDB behind a pipe: a JSON array of statements a line in, a JSON array of answers a line out.

An answer is {"rows": [[text or null, ...], ...]} or {"error": text}; every value is DuckDB's own text of it.
"""

import json
import sys

import duckdb

SETUP = """
SET error_on_division_by_zero = false;
SET ieee_floating_point_ops = true;
SET TimeZone = 'UTC';
SET threads = 2;
-- The digits of a DECIMAL as an integer.
CREATE MACRO unscaled(d) AS CAST(replace(CAST(d AS VARCHAR), '.', '') AS HUGEINT);
-- An integer as text, with so many of its digits behind a point.
CREATE MACRO digits(q, s) AS lpad(CAST(abs(q) AS VARCHAR),
    CAST(greatest(length(CAST(abs(q) AS VARCHAR)), s + 1) AS INTEGER), '0');
CREATE MACRO pointed(q, s) AS (CASE WHEN q < 0 THEN '-' ELSE '' END)
    || substring(digits(q, s), 1, length(digits(q, s)) - s) || '.' || right(digits(q, s), s);
-- n / m, rounded half away from zero; NULL if m is 0.
CREATE MACRO quotient(n, m) AS CASE WHEN m <> 0 THEN
    (CASE WHEN (n < 0) <> (m < 0) THEN -1 ELSE 1 END) * ((abs(n) * 2 + abs(m)) // (abs(m) * 2)) END;
"""


def answer(connection, statement):
    try:
        if not statement.startswith("SELECT"):
            connection.execute(statement)
            return {"rows": []}
        return {"rows": connection.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({statement})").fetchall()}
    except duckdb.Error as error:
        return {"error": str(error).split("\n\n")[0]}


def main():
    connection = duckdb.connect()
    connection.execute(SETUP)
    for line in sys.stdin:
        answers = [answer(connection, statement) for statement in json.loads(line)]
        print(json.dumps(answers), flush=True)


main()
