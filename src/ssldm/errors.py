"""Errors that a user can act on: what was expected, what was found, and where."""


class SsldmError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line and exits with 2."""


class ObservationError(SsldmError):
    """Observations that cannot be read or do not fit together."""


class NoDataError(ObservationError):
    """Nothing to forecast from: no files, too few frames, frames that are too old, or nothing observed."""


class ModelError(SsldmError):
    """Weights or a configuration that cannot be loaded."""


class ConfigurationError(SsldmError):
    """A preset or an override that does not describe a valid configuration."""


class ProcessError(SsldmError):
    """A process of a training that the others miss."""


class ArgumentError(ConfigurationError, ObservationError):
    """An argument of a forecast that does not fit the observations or the model."""


class MissingModelError(ModelError, ConfigurationError):
    """A model or a device that does not exist."""


class UnverifiedHeads(UserWarning):
    """A number of attention heads that weights are taken to be of, though they do not tell."""


class InputRepaired(UserWarning):
    """Something in the input was passed over or made good; the forecast goes on."""


class NotGeoreferenced(UserWarning):
    """A grid whose place on the map is not known; forecasts work, maps do not."""


class OutputError(SsldmError):
    """An output that cannot be written where, or as what, it is asked for."""
