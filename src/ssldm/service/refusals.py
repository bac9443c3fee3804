"""Why a request is not answered: named errors, each with its HTTP status."""

from ssldm.errors import SsldmError


class NotThereError(SsldmError):
    """A domain, frame, cycle, product or place that is not, or no longer, in the store: 404."""


class UnfitRequestError(SsldmError):
    """A body or a number that cannot be answered: 422."""


class BusyError(SsldmError):
    """As many ask for the same kind of thing as can be served: 503, later again."""
