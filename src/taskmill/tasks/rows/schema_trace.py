"""The column for the trace that a task is part of; see :mod:`taskmill.tasks.tracing`."""

_ADD = "ALTER TABLE task ADD COLUMN trace text;\n"

# There is no `ADD COLUMN IF NOT EXISTS` in MySQL, so it is looked up first.
_MYSQL = """
SET @taskmill_trace = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'task' AND column_name = 'trace'),
    'DO 0',
    'ALTER TABLE task ADD COLUMN trace TEXT'
);
PREPARE taskmill_trace FROM @taskmill_trace;
EXECUTE taskmill_trace;
DEALLOCATE PREPARE taskmill_trace;
"""

TRACE = {"sqlite": _ADD, "postgresql": _ADD, "mysql": _MYSQL}
