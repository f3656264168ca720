"""Where every artifact lies below the results root; the Snakefile and the jobs agree on it here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

Artifact = Callable[[Path, str, str], Path]
"""Of a results root, a name and a kind."""

MANIFEST = "manifest.json"
"""Of a store, or of what is kept of a run; it is written last and vouches for the other files."""
STORE_FILES = (
    "images.npy",
    "masks.npy",
    "thumbs.npy",
    "images.parquet",
    "labels.parquet",
    "boxes.parquet",
    "masks.parquet",
    "manifest.json",
)
"""Of every store; the manifest is written last."""

TABLE_KINDS = ("csv", "md", "tex", "html")
FIGURE_KINDS = ("png", "pdf", "md")
"""Files of every table and figure."""


def store(results: Path, key: str, size: int | str) -> Path:
    """Folder of a dataset's store."""
    return results / "data" / key / str(size)


def store_work(results: Path, key: str, size: int | str) -> Path:
    """Folder of what making a store leaves until it is complete."""
    return results / "work" / "data" / key / str(size)


def store_native(results: Path, key: str, size: int | str) -> Path:
    """What the native files were that a store was made from, as far as planning looks at them."""
    return results / "work" / "data" / key / f"{size}.json"


def retrieved(results: Path, key: str) -> Path:
    """What was fetched for a dataset, and from where."""
    return results / "retrieved" / f"{key}.json"


def phantom(results: Path, key: str) -> Path:
    """Native folder of a phantom dataset; apart from the stores, which DVC keeps."""
    return results / "phantoms" / key


def split(results: Path, key: str, kind: str) -> Path:
    """The split of each image of a dataset: `parquet` lists them, `json` counts them."""
    return results / "splits" / f"{key}.{kind}"


def split_stores(results: Path, keys: Iterable[str], size: int) -> list[str]:
    """What a job depends on that reads the stores of some datasets, and the splits of their images."""
    of = ((store(results, key, size) / MANIFEST, split(results, key, "parquet")) for key in keys)
    return [str(one) for files in of for one in files]


def visits(results: Path, run: str) -> Path:
    """What the stores that a run trains on hold."""
    return results / "visits" / f"{run}.json"


@dataclass(frozen=True, slots=True)
class StageFiles:
    """What a stage leaves in the run's folder of checkpoints."""

    weights: Path
    """Student and teacher after the stage."""
    optimizer: Path
    """What continuing needs beside the weights."""
    snapshots: Path
    """Teachers copied during the stage; of a run that takes none, an empty file."""
    history: Path
    """Numbers of every update."""


def checkpoints(results: Path, run: str) -> Path:
    """Folder of what a run's stages leave."""
    return results / "checkpoints" / run


def stage(folder: Path, name: str) -> StageFiles:
    """Files of a stage by its name, below the run's folder of checkpoints."""
    tensors = f"{name}.safetensors"
    return StageFiles(
        folder / tensors,
        folder / "optimizer" / tensors,
        folder / "snapshots" / tensors,
        folder / "history" / f"{name}.csv",
    )


def work(results: Path, run: str) -> Path:
    """Folder of what a run's jobs leave until they are done."""
    return results / "work" / run


def kept(results: Path, run: str) -> Path:
    """Folder of what is kept of a run: DVC's copy of the checkpoints that matter."""
    return results / "kept" / run


def predictions(results: Path, run: str) -> Path:
    """Predictions of a run's chosen networks on validation and test."""
    return results / "predictions" / f"{run}.parquet"


def choice(results: Path, run: str) -> Path:
    """What validation chose for a run, and among what."""
    return results / "predictions" / f"{run}.json"


def metrics(results: Path, run: str) -> Path:
    """Test metrics of a run."""
    return results / "metrics" / f"{run}.json"


def summary(results: Path) -> Path:
    """The headline metric of every run, dataset and task."""
    return results / "metrics" / "summary.json"


def validation(results: Path) -> Path:
    """The headline metric of every state that validation chose among."""
    return results / "metrics" / "validation.csv"


def leakage(results: Path, what: str) -> Path:
    """What `lists` share, and what `runs` test of what they trained on."""
    return results / "metrics" / "leakage" / f"{what}.parquet"


def weights(results: Path, run: str) -> Path:
    """A run as one weights file; its card lies beside it."""
    return results / "weights" / f"{run}.safetensors"


def few_shot(results: Path, run: str) -> Path:
    """Predictions of a run's trainings on few images."""
    return results / "predictions" / "few_shot" / f"{run}.parquet"


def few_shot_work(results: Path, run: str) -> Path:
    """Folder of what these trainings leave until all are done."""
    return results / "work" / "few_shot" / run


def few_shot_metrics(results: Path) -> Path:
    """Test metrics of all trainings on few images."""
    return results / "metrics" / "few_shot.json"


def corpus(results: Path, kind: str) -> Path:
    """The pictures that pretraining without labels sees: `parquet` lists them, `json` counts them."""
    return results / f"corpus.{kind}"


def ssl(results: Path, backbone: str, resolution: int | str) -> Path:
    """What a stage of a backbone leaves for the next: student and teacher; its history lies beside it."""
    return results / "checkpoints" / "cxrlt" / backbone / f"{resolution}.safetensors"


def backbone(results: Path, name: str, resolution: int | str) -> Path:
    """DVC's copy of a stage, which heads are put on."""
    return results / "backbones" / name / f"{resolution}.safetensors"


def head(results: Path, name: str) -> Path:
    """Weights of a head."""
    return results / "heads" / f"{name}.safetensors"


def head_predictions(results: Path, name: str) -> Path:
    """Predictions of a head; what chose its learning rate lies beside it as json."""
    return results / "predictions" / "cxrlt" / f"{name}.parquet"


def head_metrics(results: Path, name: str) -> Path:
    """Metrics of a head or an ensemble."""
    return results / "metrics" / "cxrlt" / f"{name}.json"


def cxrlt_work(results: Path, *names: str | int) -> Path:
    """What a job of the study leaves until it is done."""
    return results.joinpath("work", "cxrlt", *map(str, names))


def table(results: Path, name: str, kind: str) -> Path:
    """A table as csv, md, tex or html."""
    return results / "tables" / f"{name}.{kind}"


def figure(results: Path, name: str, kind: str) -> Path:
    """A figure as png or pdf, or its caption as md."""
    return results / "figures" / f"{name}.{kind}"


def index(results: Path) -> Path:
    """The page that shows every table and figure."""
    return results / "index.md"
