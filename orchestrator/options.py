"""The arguments and options that several commands share, and an experiment opened with them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.tracking.tracker import check_tracking_uri

if TYPE_CHECKING:
    from layerscope.orchestrator.workspace import Workspace

RUNS = Path("runs")
"""The store where none is named."""

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="The experiment's YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Overrides, as recipe.epochs=2 or grid.layer_decay=[1.0,0.9]."),
]
StoreFolder = Annotated[Path, typer.Option("--store", help="Folder that keeps every result.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(help="MLflow server or database; by default $MLFLOW_TRACKING_URI, else in the store."),
]
ClusterFile = Annotated[
    Path | None,
    typer.Option("--cluster", help="Cluster file; by default this machine, as configs/clusters/laptop.yaml."),
]
Profile = Annotated[
    str | None, typer.Option("--profile", help="Apply a set of overrides that the experiment names.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def opened(
    experiment: Path,
    overrides: list[str] | None,
    store: Path,
    tracking_uri: str | None,
    profile: str | None,
    *,
    cluster: Path | None = None,
    must_exist: bool = False,
) -> "Workspace":
    """The experiment, opened against a store; raises as `open_workspace` and `chosen_tracking_uri` do.

    A cluster file is no part of it and is only checked; raises as `read_cluster` does.
    """
    from layerscope.orchestrator.experiment.cluster import read_cluster
    from layerscope.orchestrator.workspace import open_workspace

    read_cluster(cluster, os.environ)

    uri = chosen_tracking_uri(tracking_uri, store)

    def fetch_mlflow(model: str) -> Path:
        from layerscope.orchestrator.tracking.mlflow_models import fetch_model

        return fetch_model(model, tracking_uri=uri, folder=store.absolute() / "encoders")

    return open_workspace(
        experiment,
        store=store,
        overrides=overrides or (),
        profile=profile,
        fetch_mlflow=fetch_mlflow,
        must_exist=must_exist,
    )


def chosen_tracking_uri(given: str | None, store: Path) -> str:
    """What was given, else what the environment says, else a database in the store.

    Raises:
        ConfigurationError: MLflow takes no such address.
    """
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{store.absolute() / 'mlflow.db'}"
    try:
        check_tracking_uri(uri)
    except ValueError as error:
        raise ConfigurationError(f"--tracking-uri: {error}") from error
    return uri
