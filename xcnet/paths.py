"""Where things lie: the functionals that come with the package, the user's training data."""

from __future__ import annotations

from pathlib import Path

from xcnet.errors import ModelError


def models_folder() -> Path:
    """Folder of the shipped functionals: ``xcnet/models`` when installed, ``models`` in a checkout.

    Raises
    ------
    ModelError
        The installation lacks the folder.
    """
    package = Path(__file__).resolve().parent
    # An editable install and a plain checkout run from the source tree, where models/ is a
    # sibling of the package; the schema tells it from any other folder of that name.
    for folder in (package / "models", package.parent / "models"):
        if (folder / "schema.json").is_file():
            return folder
    raise ModelError(
        f"{package / 'models'}: the folder of shipped functionals is missing; reinstall xcnet",
        file=str(package / "models"),
    )


def cache_folder() -> Path:
    """The user's folder for what is made again where it is gone."""
    import platformdirs

    return platformdirs.user_cache_path("xcnet", appauthor=False)


def training_folder() -> Path:
    """The user's cache folder for training data: public data sets, densities, ground states."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("xcnet")) / "training"
