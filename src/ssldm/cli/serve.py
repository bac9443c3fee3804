"""`ssldm serve`: a live service with a map."""

from pathlib import Path
from typing import Annotated

import typer

from ssldm.errors import ConfigurationError

# Options that say what a file of --config says, and of these what the others take.
_OF_WATCH = ("model", "members", "store", "budget", "replay", "speed", "answer_only")
_OF_DEMO, _OF_CONFIG = ("members",), ("answer_only",)


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A service in YAML: domains, store, alarms, limits.")
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE", help="Radar files of one product: folder, pattern, URL. May be repeated."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Shipped name, folder or hub identifier of weights.")] = "small",
    members: Annotated[int, typer.Option(min=4, max=200, help="Ensemble size.")] = 20,
    store: Annotated[str, typer.Option(help="Folder or URL to keep frames and forecasts in.")] = "store",
    budget: Annotated[
        str,
        typer.Option(help="Time from a frame's arrival to its forecast; what takes longer is made smaller."),
    ] = "120s",
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Play files of the past from this time (UTC) on, as if they came now."
        ),
    ] = None,
    speed: Annotated[float, typer.Option(min=0.01, help="Of a replay: hours of the past in an hour.")] = 60.0,
    answer_only: Annotated[
        bool,
        typer.Option(
            "--answer-only", help="Make no forecasts: answer from a store that another service fills."
        ),
    ] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Serve a simulated storm; needs no files.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Forecast every new frame, and answer with a map, an API and alarms."""
    from ssldm.checks import one_of
    from ssldm.config_file import parsed
    from ssldm.service.config import ServiceConfig, read_service_config
    from ssldm.service.run import serve as run

    one_of("log level", log_level, ("debug", "info", "warning", "error"))
    if sum((config is not None, bool(watch), demo)) != 1:
        raise ConfigurationError("expected one of --config, --watch and --demo")
    taken = _OF_WATCH if watch else _OF_DEMO if demo else _OF_CONFIG
    if ignored := [name for name in _OF_WATCH if name not in taken and _is_given(context, name)]:
        option = ignored[0].replace("_", "-")
        raise ConfigurationError(f"expected --{option} with --watch alone, found it with another")
    typer.echo(f"The map: http://{host}:{port}/")
    if demo:
        _demo(members, host, port, log_level)
        return
    if config is not None:
        run(read_service_config(config), host, port, level=log_level, forecast=not answer_only)
        return
    domain = {"name": "radar", "watch": tuple(watch or ()), "model": model, "members": members}
    played = {} if replay is None else {"replay": {"start": replay, "speed": speed}}
    run(
        parsed(ServiceConfig, {"domains": (domain,), "store": store, "budget": budget, **played}),
        host,
        port,
        level=log_level,
        forecast=not answer_only,
    )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _demo(members: int, host: str, port: int, level: str) -> None:
    import threading
    from tempfile import TemporaryDirectory

    from ssldm.service.demo import demo_config, feed
    from ssldm.service.run import clock_of
    from ssldm.service.run import serve as run
    from ssldm.service.store import Store

    with TemporaryDirectory(prefix="ssldm-demo-") as folder:
        config = demo_config(Path(folder), members)
        clock = clock_of(Store(config.store), config)
        stop = threading.Event()
        feeding = threading.Thread(target=feed, args=(config, clock, stop), daemon=True)
        feeding.start()
        try:
            run(config, host, port, level=level)
        finally:
            stop.set()
            feeding.join(timeout=5.0)
