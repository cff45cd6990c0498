"""The command line: `layerscope run`, `analyze`, `plan`, `status`, `report`, `compare`, `publish`, ..."""

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from layerscope.orchestrator.errors import (
    ConfigurationError,
    LayerscopeError,
    PrerequisiteMissing,
    ReaderGone,
    StageFailed,
)
from layerscope.orchestrator.options import (
    RUNS,
    AsJson,
    ClusterFile,
    ExperimentFile,
    Overrides,
    Profile,
    StoreFolder,
    TrackingUri,
    chosen_tracking_uri,
    opened,
)
from layerscope.orchestrator.reading_end import ReadConsole, reader_gone_told, unread_help_told
from layerscope.orchestrator.tracking.tracker import redacted

if TYPE_CHECKING:
    from layerscope.orchestrator.experiment.cluster import Cluster
    from layerscope.orchestrator.workspace import Workspace

app = typer.Typer(
    name="layerscope",
    help="Runs fine-tuning recipes for text encoders and shows, layer by layer, what each did.",
    epilog="Exit codes: 0 all done, 1 internal error, 2 invalid configuration or data, "
    "3 finished with failures, 4 missing prerequisite, 130 interrupted, "
    "141 output pipe closed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130


def main() -> None:
    """Entry point of the `layerscope` command."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    with unread_help_told():
        app(prog_name="layerscope")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"layerscope {version('layerscope')}")
        raise typer.Exit


@app.callback()
def options(
    is_asked: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Options of the command itself."""


def _with_exit_codes(command: Callable[..., int | None]) -> Callable[..., None]:
    """Exit codes: 0 done, 1 internal, 2 configuration, 3 failures, 4 prerequisites, 130 interrupted, 141
    output pipe closed."""

    @wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> None:
        try:
            with reader_gone_told():
                code = command(*arguments, **options)
                sys.stdout.flush()
        except LayerscopeError as error:
            print(f"error: {error}" if "\n" not in str(error) else f"error:\n{error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except ReaderGone:
            # Unflushed output would raise again at interpreter exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(ReaderGone.exit_code) from None
        except KeyboardInterrupt:
            print("interrupted: run the same command again to resume", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        raise typer.Exit(code or 0)

    return wrapped


@app.command()
@_with_exit_codes
def run(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    store: StoreFolder = RUNS,
    tracking_uri: TrackingUri = None,
    cluster: ClusterFile = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join, as auto or host:port.")] = None,
    profile: Profile = None,
    serial: Annotated[bool, typer.Option("--serial", help="Compute in this process, without Ray.")] = False,
    as_json: AsJson = False,
) -> int:
    """Compute everything that is not cached and write the report. Run again to resume."""
    from layerscope.orchestrator.experiment.cluster import at_address, read_cluster

    where = read_cluster(cluster, os.environ)
    if address is not None:
        where = at_address(where, address)
    uri = chosen_tracking_uri(tracking_uri, store)
    workspace = opened(experiment, overrides, store, uri, profile)
    return _run(workspace, where, uri, store, serial=serial, as_json=as_json)


@app.command()
@_with_exit_codes
def analyze(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="A folder, a key of the store, package:NAME, models:/... of MLflow, or a name on the Hub, "
            "as owner/name or owner/name@COMMIT.",
        ),
    ],
    task: Annotated[
        list[Path], typer.Option(help="Task file; repeatable. Tasks with annotations are probed.")
    ],
    name: Annotated[str, typer.Option(help="Name of the experiment.")] = "analysis",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override, as measures.cka=false.")
    ] = None,
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code",
            help="Execute custom model code from folders and from Hub repositories at a commit.",
        ),
    ] = False,
    store: StoreFolder = RUNS,
    tracking_uri: TrackingUri = None,
    cluster: ClusterFile = None,
    serial: Annotated[bool, typer.Option("--serial", help="Compute in this process, without Ray.")] = False,
    as_json: AsJson = False,
) -> int:
    """Measure the layers of existing models; the experiment file is written to the store."""
    from tempfile import TemporaryDirectory

    from layerscope.orchestrator.analysis import analysis, analysis_yaml
    from layerscope.orchestrator.experiment.cluster import read_cluster
    from layerscope.orchestrator.experiment.reading import resolved_yaml
    from layerscope.orchestrator.store.artifacts import Store

    where = read_cluster(cluster, os.environ)
    uri = chosen_tracking_uri(tracking_uri, store)
    with TemporaryDirectory() as folder:
        written = Path(folder) / "analysis.yaml"
        asked = analysis(name, models, task, store=store, trust_remote_code=trust_remote_code)
        written.write_text(analysis_yaml(asked), encoding="utf-8")
        workspace = opened(written, changes, store, uri, None)
    Store(store).create()
    kept = store / "analyses" / f"{name}.yaml"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(resolved_yaml(workspace.experiment), encoding="utf-8")
    if not as_json:
        print(f"experiment: {kept}")
    return _run(workspace, where, uri, store, serial=serial, as_json=as_json)


def _run(
    workspace: "Workspace", where: "Cluster", uri: str, store: Path, *, serial: bool, as_json: bool
) -> int:
    from layerscope.orchestrator.running import run_experiment
    from layerscope.orchestrator.showing import print_outcome
    from layerscope.orchestrator.tracking.mlflow_runs import MlflowTracker
    from layerscope.orchestrator.tracking.terminal import make_reporter

    tracker, reporter = (
        MlflowTracker(uri),
        make_reporter(as_json=as_json, console=ReadConsole(soft_wrap=True)),
    )
    try:
        outcome = run_experiment(workspace, where, tracker, reporter, serially=serial)
    finally:
        reporter.close()
        tracker.close()
    if as_json:
        reporter({"event": "finished"} | outcome.as_json())
    else:
        print_outcome(outcome, uri, store)
    return 0 if outcome.is_complete else StageFailed.exit_code


@app.command()
@_with_exit_codes
def plan(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    store: StoreFolder = RUNS,
    tracking_uri: TrackingUri = None,
    cluster: ClusterFile = None,
    profile: Profile = None,
    all_stages: Annotated[bool, typer.Option("--all", help="Also list every measure stage.")] = False,
    as_json: AsJson = False,
) -> None:
    """List every stage: cached or to do, why, and how many variants share it. Runs nothing."""
    from layerscope.orchestrator.showing import plan_object, print_plan

    workspace = opened(experiment, overrides, store, tracking_uri, profile, cluster=cluster)
    if as_json:
        print(json.dumps(plan_object(workspace, workspace.schedule())))
    else:
        print_plan(workspace, workspace.schedule(), all_stages=all_stages)


@app.command()
@_with_exit_codes
def status(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    store: StoreFolder = RUNS,
    tracking_uri: TrackingUri = None,
    cluster: ClusterFile = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Show the state of every variant."""
    from layerscope.orchestrator.showing import print_status, status_object

    workspace = opened(experiment, overrides, store, tracking_uri, profile, cluster=cluster)
    schedule = workspace.schedule()
    study, search = workspace.study(schedule), workspace.search_progress(schedule)
    if as_json:
        print(json.dumps(status_object(study, search)))
    else:
        print_status(study, search)


@app.command()
@_with_exit_codes
def report(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    store: StoreFolder = RUNS,
    tracking_uri: TrackingUri = None,
    cluster: ClusterFile = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Write the HTML report from the results in the store."""
    from layerscope.jobs.study_report import write_report

    workspace = opened(experiment, overrides, store, tracking_uri, profile, cluster=cluster, must_exist=True)
    path = write_report(workspace.study(workspace.schedule()), workspace.report_path)
    print(json.dumps({"report": str(path)}) if as_json else path)


@app.command()
@_with_exit_codes
def compare(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    store: StoreFolder = RUNS,
    tracking_uri: TrackingUri = None,
    cluster: ClusterFile = None,
    profile: Profile = None,
    as_json: AsJson = False,
    form: Annotated[
        Literal["json", "md", "latex", "parquet"], typer.Option("--format", help="Table format.")
    ] = "md",
) -> None:
    """Print scores as a table: md and latex summarise, json and parquet have every variant and layer.

    If the experiment names a paper, the Markdown table is followed by the verdicts on its claims.
    """
    from layerscope.jobs.report.paper.claims import check_claims
    from layerscope.jobs.report.tidy_table import format_claims, format_rows, tidy_rows

    workspace = opened(experiment, overrides, store, tracking_uri, profile, cluster=cluster)
    study = workspace.study(workspace.schedule())
    rows = tidy_rows(study)
    if not rows:
        print("nothing is finished yet: start it with `layerscope run`", file=sys.stderr)
    content = format_rows(rows, "json" if as_json else form, metric_of=study.metric)
    if isinstance(content, bytes):
        sys.stdout.buffer.write(content)
        return
    print(content)
    if form == "md" and not as_json and (claims := check_claims(study)):
        print(format_claims(claims))


@app.command()
@_with_exit_codes
def publish(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    store: StoreFolder = RUNS,
    tracking_uri: TrackingUri = None,
    profile: Profile = None,
) -> int:
    """Send the results in the store to MLflow. Safe to repeat, for example after a server outage."""
    from layerscope.jobs.report.ranking import rank_conditions
    from layerscope.jobs.study_report import study_figures, write_report
    from layerscope.orchestrator.live_pages import final_pages
    from layerscope.orchestrator.showing import described_refusals
    from layerscope.orchestrator.tracking.mlflow_runs import MlflowTracker
    from layerscope.orchestrator.tracking.publishing import publish_each

    uri = chosen_tracking_uri(tracking_uri, store)
    workspace = opened(experiment, overrides, store, uri, profile, must_exist=True)
    study = workspace.study(workspace.schedule())
    ranking = rank_conditions(study)
    figures = study_figures(study, ranking=ranking)
    path = write_report(study, workspace.report_path, figures=figures, ranking=ranking)
    pages = final_pages(workspace, study, figures, path)
    tracker = MlflowTracker(uri)
    try:
        refused = publish_each(tracker, study.experiment, pages)
    finally:
        tracker.close()
    print(f"runs published to {redacted(uri)}: {len(pages) - sum(map(len, refused.values()))}")
    if refused:
        print(described_refusals(refused), file=sys.stderr)
    return StageFailed.exit_code if refused else 0


@app.command()
@_with_exit_codes
def export(
    variant: Annotated[
        str, typer.Argument(metavar="VARIANT", help="Key of a finished fine-tuning, or a unique prefix.")
    ],
    out: Annotated[Path, typer.Option(help="Output folder: new or empty.")],
    layers: Annotated[str, typer.Option(help="Number of layers to keep, or auto.")] = "auto",
    tolerance: Annotated[
        str, typer.Option(help="With auto: maximum loss of validation score, as 0.5%.")
    ] = "0.5%",
    head: Annotated[
        Literal["tuned", "refitted"],
        typer.Option(help="The fine-tuned head, or the head refitted to the layer by measures.refit."),
    ] = "tuned",
    store: StoreFolder = RUNS,
    as_json: AsJson = False,
) -> None:
    """Export a fine-tuned model with its bottom layers only, as a folder for transformers."""
    from layerscope.orchestrator.exporting import export_variant
    from layerscope.orchestrator.showing import print_export
    from layerscope.orchestrator.store.artifacts import Store

    facts = export_variant(
        variant, store=Store(store), out=out, layers=layers, tolerance=tolerance, head=head
    )
    if as_json:
        print(json.dumps(asdict(facts) | {"folder": str(out)}))
        return
    print_export(facts, out)


@app.command()
@_with_exit_codes
def ui(
    store: StoreFolder = RUNS,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
) -> None:
    """Serve the MLflow pages of a store in a browser."""
    database = store.absolute() / "mlflow.db"
    if not database.exists():
        raise PrerequisiteMissing(f"{database} does not exist: run an experiment with --store {store} first")
    print(f"open http://{host}:{port}/?workflowType=machine_learning", flush=True)
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{database}"]
    os.execv(sys.executable, [*command, "--host", host, "--port", str(port), "--workers", "1"])


@app.command()
@_with_exit_codes
def validate(
    tasks: Annotated[list[Path], typer.Argument(metavar="TASK...", help="Task files (YAML).")],
    as_json: AsJson = False,
) -> None:
    """Validate all data of task files: columns, labels, choices, spans. Bad rows are reported as file:row."""
    from layerscope.orchestrator.experiment.task_files import read_task
    from layerscope.orchestrator.planning.checks.task_checks import check_task, lines_of

    faults = []
    for path in tasks:
        try:
            checked = check_task(read_task(path, os.environ))
        except ConfigurationError as error:
            faults.append(str(error))
        else:
            print(json.dumps(asdict(checked)) if as_json else "\n".join(lines_of(checked)))
    if faults:
        raise ConfigurationError("\n".join(faults))


@app.command()
@_with_exit_codes
def schema(
    of: Annotated[
        Literal["experiment", "task", "reference"], typer.Argument(help="Kind of file.")
    ] = "experiment",
) -> None:
    """Print the JSON schema of an experiment file, of a task file, or of a reference file."""
    from layerscope.orchestrator.experiment.schema import experiment_schema, reference_schema, task_schema

    schemas = {"experiment": experiment_schema, "task": task_schema, "reference": reference_schema}
    print(json.dumps(schemas[of](), indent=2))
