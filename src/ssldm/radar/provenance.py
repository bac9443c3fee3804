"""Where an archive comes from: creator, software, versions, in the words of MLCast."""

import getpass
import socket
from datetime import UTC, datetime
from importlib.metadata import version

_VALIDATOR_VERSION = "0.4.0"


def provenance(options: str, files: int) -> dict[str, str]:
    """Attributes that every archive gets; the creator is the user on this host until told otherwise.

    Args:
        options: what the build was asked for.
        files: how many files it was given.
    """
    now = datetime.now(UTC)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        user = "unknown"
    release = version("ssldm")
    return {
        "history": f"{now:%Y-%m-%dT%H:%M:%SZ} ssldm {release} archive build of {files} files {options}",
        "mlcast_created_on": now.isoformat(timespec="seconds"),
        "mlcast_created_by": f"{user} <{user}@{socket.gethostname()}>",
        "mlcast_created_with": f"ssldm {release}",
        "mlcast_dataset_version": f"{now:%Y.%m.%d}",
        "mlcast_dataset_validator_version": _VALIDATOR_VERSION,
    }
