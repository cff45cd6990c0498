"""Records of a data set on the Hugging Face Hub, from its cache where there is no network."""

from collections.abc import Iterator, Sequence

from layerscope.jobs.text.reading.delimited import Record
from layerscope.jobs.text.reading.text_formats import dataset_records


def hub_records(
    name: str, *, subset: str | None, revision: str, split: str, columns: Sequence[str]
) -> Iterator[Record]:
    """Rows of one split at a pinned revision.

    Raises:
        ValueError: the data set could not be had, or lacks a column.
    """
    import datasets

    place = f"{name}{f' ({subset})' if subset else ''}, split {split}, at {revision}"
    try:
        dataset = datasets.load_dataset(name, subset, split=split, revision=revision)
    except RuntimeError as error:
        if "scripts" not in str(error):
            raise
        raise ValueError(
            f"the Hub data set {place} could not be read: {error}\n"
            "`datasets` runs no scripts: `revision: refs/convert/parquet` names the branch in which the Hub "
            "keeps a data set's rows as Parquet, where it has made one; leave `subset` out there"
        ) from error
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(
            f"the Hub data set {place} could not be read: {error}\n"
            f"tried: the cache {datasets.config.HF_DATASETS_CACHE}, then {datasets.config.HF_ENDPOINT}"
            f"{' (switched off by HF_HUB_OFFLINE)' if datasets.config.HF_HUB_OFFLINE else ''}"
        ) from error
    return dataset_records(dataset, columns, place)
