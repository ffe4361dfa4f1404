"""What can be wrong with a database, by what is to be done about it."""

from taskmill.supervisor import Hopeless, SupervisorError

ONLY_READS = "`query` only reads; to change rows, use `execute`"


class DatabaseError(SupervisorError):
    """The database cannot be used as declared. The message names the mend."""


class DatabaseNewer(DatabaseError, Hopeless):
    """A newer version of the application has written the database."""


class DatabaseDamaged(DatabaseError):
    """The file does not hold what was written to it, or a flush failed: to go on would risk more."""


class DatabaseUnavailable(DatabaseError):
    """The database cannot write now, such as on a full disk. It goes on by itself once it can."""


class DatabaseAway(DatabaseUnavailable):
    """The server cannot be reached. Whoever holds the connections says so once, so others need not (`logs.py`)."""

    said = True
