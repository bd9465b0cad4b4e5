"""How a run fails that a lake or its data refused: with the one line that says so, which Dagster's page shows first."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from fluxforge_collector.errors import FluxForgeError


@contextmanager
def failing_plainly() -> Iterator[None]:
    """Raises: dagster.Failure in place of an error that was foreseen; its trace would tell nothing more."""
    try:
        yield
    except FluxForgeError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
