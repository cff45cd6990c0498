"""Arguments and options shared by several commands."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.tracking.tracker import check_tracking_uri

if TYPE_CHECKING:
    from layerscope.orchestrator.workspace import Workspace

RUNS = Path("runs")
"""The default store."""

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="Experiment file (YAML).")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Overrides, as recipe.epochs=2 or grid.layer_decay=[1.0,0.9]."),
]
StoreFolder = Annotated[Path, typer.Option("--store", help="Folder of all results.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        help="MLflow server or database; default: $MLFLOW_TRACKING_URI, else a database in the store."
    ),
]
ClusterFile = Annotated[
    Path | None,
    typer.Option("--cluster", help="Cluster file; default: this machine, as configs/clusters/laptop.yaml."),
]
Profile = Annotated[
    str | None, typer.Option("--profile", help="Apply a named set of overrides of the experiment file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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

    A cluster file is only checked; raises as `read_cluster` does.
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
    """The given address, else $MLFLOW_TRACKING_URI, else a database in the store.

    Raises:
        ConfigurationError: MLflow does not support the address.
    """
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{store.absolute() / 'mlflow.db'}"
    try:
        check_tracking_uri(uri)
    except ValueError as error:
        raise ConfigurationError(f"--tracking-uri: {error}") from error
    return uri
