"""What every model's configuration says of what its weights were trained for."""

from pydantic import Field, PositiveFloat, PositiveInt

from ssldm.config import Config


class TrainedFor(Config):
    """Frames, grid and data of a training.

    Attributes:
        name: identifier of the weights.
        context_frames: number of observed frames, T_in.
        lead_frames: number of forecast frames, T_out.
        step_minutes: time step of the training data.
        pixel_size: smallest and largest pixel of the training data, in metres.
        training_data: what it was trained on, in words.
        versions: of the packages that it was trained with.
    """

    name: str
    context_frames: PositiveInt = 4
    lead_frames: PositiveInt = 16
    step_minutes: PositiveFloat = 5.0
    pixel_size: tuple[float, float] = (1000.0, 2000.0)
    training_data: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
