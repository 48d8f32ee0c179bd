"""Finding a known set: in the folders that are named, in the cache, or at its origin."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

from fl_chain.config import DataPlaces
from fl_chain.data.catalogue import verify_content
from fl_chain.data.download import Progress, download
from fl_chain.data.known import Dataset, DatasetFile, Origin
from fl_chain.errors import DatasetUnavailable


def located(dataset: Dataset, places: DataPlaces) -> tuple[Path, ...]:
    """Return where a set's files are on this machine, each checked against its digest.

    Args:
        dataset: which one.
        places: where to look.

    Returns:
        A path for each file, in the catalogue's order.

    Raises:
        DatasetUnavailable: if a file is nowhere; says how to get it.
        DigestMismatch: if the first that is found is another one.
    """
    return tuple(_located(dataset, file, places) for file in dataset.files)


def is_located(dataset: Dataset, places: DataPlaces) -> bool:
    """Return whether all files of a set are there, whatever is in them."""
    return dataset.is_embedded or all(_first(file, places) is not None for file in dataset.files)


def fetched(
    dataset: Dataset,
    places: DataPlaces,
    *,
    mirror: str | None = None,
    progress: Callable[[DatasetFile], Progress] | None = None,
) -> tuple[Path, ...]:
    """Return where a set's files are, after downloading into the cache those that are not there.

    Args:
        dataset: which one.
        places: where to look first.
        mirror: an address under which the files stand by their paths in the catalogue; instead of the
            origins.
        progress: makes for a file whoever is told of its progress.

    Raises:
        DatasetUnavailable: if a set is not published in the catalogue's form and no mirror is named.
        DownloadFailed: if no origin serves it.
        DigestMismatch: if a file is another one.
    """
    found = []
    for file in dataset.files:
        path = _first(file, places)
        if path is None and not dataset.is_embedded:
            origins = file.origins
            if mirror is not None:
                origins = (Origin(f"{mirror.rstrip('/')}/{file.path}"),)
            if not origins:
                raise DatasetUnavailable(
                    f"{file.path} is {dataset.prepared or 'not published as it is used here'}, so it cannot "
                    f"be downloaded from {dataset.page}. Take it from whoever prepared it: name the folder "
                    "in FL_CHAIN_DATA, or the address with --from"
                )
            path = download(file, origins, places.cache, None if progress is None else progress(file))
        found.append(_located(dataset, file, places) if path is None else _verified(file, path))
    return tuple(found)


def _located(dataset: Dataset, file: DatasetFile, places: DataPlaces) -> Path:
    if dataset.is_embedded:
        return _verified(file, Path(str(resources.files(__package__).joinpath(file.path))))
    path = _first(file, places)
    if path is None:
        looked = ", ".join(str(folder) for folder in (*places.folders, places.cache))
        raise DatasetUnavailable(
            f"the data set {dataset.name} is not on this machine: there is no {file.path} in {looked}. Run "
            f"`fl-chain data fetch {dataset.name}`, or name its folder in FL_CHAIN_DATA"
        )
    return _verified(file, path)


def _first(file: DatasetFile, places: DataPlaces) -> Path | None:
    paths = (folder / file.path for folder in (*places.folders, places.cache))
    return next((path for path in paths if path.is_file()), None)


def _verified(file: DatasetFile, path: Path) -> Path:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetUnavailable(f"{path} cannot be read: {error.strerror}") from error
    verify_content(file, content, advice=f"remove {path}, and fetch it again")
    return path
