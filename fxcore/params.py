"""Typed parameters of an experiment: the only reader of parameter files.

Every field has its docstring; `docs/reference/parameters.md` and the JSON schema for editors are generated from them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fxcore import yamlfile
from fxcore.errors import InputError
from fxcore.explain import explain, nearest
from fxcore.passes import Granularity, Split, Task

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Sorted = AfterValidator(lambda mapping: dict(sorted(mapping.items())))
"""Of a mapping whose order means nothing."""
Classes = Annotated[tuple[str, ...], Field(min_length=1)]


class Block(BaseModel):
    """A block of parameters: frozen, and every unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def canonical(self) -> str:
        """The block as JSON that is equal for equal values, however the file spells them.

        Fields come in the order of their definition. Mappings keep their order where it means something (datasets, runs,
        visits) and are sorted where it does not.
        """
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":"), ensure_ascii=False)


class Columns(Block):
    """Names of the index CSV's columns."""

    file: str = "file"
    """Path of the image, relative to the dataset's folder."""
    patient: str | None = None
    """Patient identifier; null where it is unknown, then each image counts as a patient of its own."""
    split: str = "split"
    """train, val or test."""


class Labels(Block):
    """Image labels: a column a class, 1 present, 0 absent, -1 uncertain, blank not mentioned."""

    classes: Classes
    """Columns of the index CSV, in the order of the head's outputs."""
    uncertain: Literal["u_ones", "u_zeros", "u_ignore"] = "u_ignore"
    """What -1 means for training and scoring: present, absent, or no statement."""
    blank: Literal["blank_zero", "blank_ignore"] = "blank_ignore"
    """What a blank means: absent, or no statement."""


class Annotations(Block):
    """Boxes or masks in a COCO JSON file that lists exactly the annotated images; an image not listed is unknown, not empty."""

    file: str
    """The COCO JSON, relative to the dataset's folder."""
    classes: Classes
    """Names of its categories, in the order of the head's outputs."""


class Dataset(Block):
    """One dataset: where it lies and what it says about its images."""

    title: str
    """As the tables print it."""
    adapter: Literal["folder"] = "folder"
    """The native format; `folder` is an index CSV with COCO JSON files (docs/how-to/own-dataset.md)."""
    source: Literal["native", "phantom"] = "native"
    """`native`: files you supply; `phantom`: synthetic radiographs that the workflow writes in the native format."""
    folder: str | None = None
    """Folder below the native root, or relative to the project when it starts with a dot; the dataset's key when null."""
    index: str = "index.csv"
    """The index CSV, relative to the folder."""
    columns: Columns = Columns()
    classification: Labels | None = None
    localization: Annotations | None = None
    segmentation: Annotations | None = None
    mirror: bool = True
    """Whether a mirrored image is still a valid example; false where left and right are different classes."""
    phantom: Annotated[dict[Split, Count], Sorted] | None = None
    """For `source: phantom`: number of images in each split."""

    def classes(self, task: Task) -> tuple[str, ...]:
        """Classes of a task's head in order; empty where the dataset lacks the task."""
        block: Labels | Annotations | None = getattr(self, task)
        return block.classes if block else ()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Tasks the dataset is annotated for, in training order."""
        return tuple(task for task in Task if self.classes(task))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.tasks:
            raise ValueError(f"has no task; give at least one of {', '.join(Task)}")
        for task in self.tasks:
            if twice := _twice(self.classes(task)):
                raise ValueError(f"{task}.classes lists {twice} twice")
        if (self.source == "phantom") != (self.phantom is not None):
            raise ValueError("source: phantom and phantom: {train, val, test} belong together; give both or neither")
        if self.phantom is not None and set(self.phantom) != set(Split):
            raise ValueError(f"phantom: give a number of images for each of {', '.join(Split)}")
        return self


class Backbone(Block):
    """The shared image encoder."""

    name: str
    """Any timm model that supports `features_only`, with stages at strides 4, 8, 16 and 32."""
    arguments: Annotated[dict[str, int | float | bool | str | tuple[int, ...]], Sorted] = {}
    """Passed to timm's `create_model`."""


class Denoising(Block):
    """Contrastive denoising queries (DINO, section 3.3)."""

    queries: Annotated[int, Field(ge=0)] = 100
    """Pairs of a positive and a negative query an image, spread over as many groups as fit; 0 turns denoising off."""
    label_noise: Probability = 0.5
    """Half of it is the chance that a query's label is drawn at random."""
    box_noise: Positive = 1.0
    """Largest shift of a positive query's corners, in half box sizes; negatives are shifted up to twice as far."""


class Localization(Block):
    """DINO: a shared deformable encoder, a decoder a dataset (Foundation X, figure 1)."""

    width: Count = 256
    """Channels of tokens and queries; a multiple of `heads` and of 8."""
    heads: Count = 8
    points: Count = 4
    """Sampling points for each head and level."""
    encoder_layers: Count = 6
    decoder_layers: Count = 6
    feedforward: Count = 2048
    queries: Count = 900
    """Boxes predicted an image; at most the number of encoder tokens."""
    labels: Count = 16
    """Rows of the label embedding that denoising shares between datasets; at least the largest number of classes."""
    tied_heads: bool = True
    """Whether the head that predicts boxes also refines them (DINO); false for weights of the authors' code."""
    denoising: Denoising = Denoising()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.width % self.heads or self.width % 8:
            raise ValueError(f"width is {self.width}; give a multiple of 8 and of heads, {self.heads}")
        return self


class Segmentation(Block):
    """UPerNet: a shared pyramid pooling module and feature pyramid, a head a dataset."""

    bins: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 6)
    """Grid sizes of the pyramid pooling module."""
    width: Count = 128
    """Channels of the feature pyramid."""
    dropout: Probability = 0.1
    """Of whole channels, after pyramid pooling."""


class Model(Block):
    """Sizes of the network; the same for all runs."""

    image_size: Annotated[int, Field(ge=32)]
    """Side of the square input in pixels, all tasks."""
    mean: Probability = 0.5056
    """Subtracted from intensities in 0..1."""
    std: Positive = 0.252
    """Divides intensities after the mean is subtracted."""
    backbone: Backbone
    localization: Localization = Localization()
    segmentation: Segmentation = Segmentation()


class Augmentation(Block):
    """Random changes of a training image, in this order; boxes and masks follow the geometry."""

    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Smallest area of a random crop, as a fraction of the image; 1 takes the whole image."""
    flip: Probability = 0.0
    """Chance of a mirrored image, where the dataset's `mirror` allows it."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation, degrees either way."""
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest shift, as a fraction of the side."""
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest change of scale: factors from 1 - zoom to 1 + zoom."""
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest relative change of brightness."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest relative change of contrast."""


class Rates(Block):
    """Base learning rate of each parameter group (design table, Foundation X section 6)."""

    backbone: Positive = 1e-5
    classification_head: Positive = 1e-5
    encoder: Positive = 1e-4
    decoder: Positive = 1e-4
    segmentation_decoder: Positive = 1e-4
    segmentation_head: Positive = 1e-4


class LocalizationLoss(Block):
    """DINO's criterion and matcher."""

    focal_alpha: Probability = 0.25
    focal_gamma: NonNegative = 2.0
    weight_class: NonNegative = 1.0
    weight_l1: NonNegative = 5.0
    weight_giou: NonNegative = 2.0
    weight_proposals: NonNegative = 1.0
    """Factor of the loss on the encoder's proposals; the authors' code has 0, which leaves the proposal heads untrained."""
    cost_class: NonNegative = 2.0
    cost_l1: NonNegative = 5.0
    cost_giou: NonNegative = 2.0


class Pretrain(Block):
    """How a run trains; a run may replace single values under `override`."""

    stage: Granularity = Granularity.CYCLE
    """What one job executes; results do not depend on it."""
    stage_cycles: Count = 1
    """Cycles that one job executes where `stage` is `cycle`; a run's `cycles` are a multiple of it."""
    lock: tuple[Task, ...] = (Task.LOCALIZATION, Task.SEGMENTATION)
    """Tasks with a lock pass before the release pass."""
    lock_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Part of the data that a lock pass sees."""
    batch_size: Count
    """Images an update."""
    rates: Rates = Rates()
    weight_decay: NonNegative = 1e-4
    warmup_updates: Annotated[int, Field(ge=0)] = 0
    """Updates of linear warm-up before the cosine."""
    clip: Annotated[dict[Task, Positive], Sorted] = {Task.LOCALIZATION: 0.1}
    """Largest global gradient norm, for the tasks named."""
    momentum: Probability | None = 0.80
    """The teacher after each pass: momentum · teacher + (1 - momentum) · student; null trains without a teacher."""
    consistency: Probability = 0.5
    """Weight of the consistency terms; the task loss has the rest. Release passes only, and only with a teacher."""
    precision: Literal["fp32", "bf16"] = "fp32"
    dice_smooth: Positive = 1.0
    """Added to numerator and denominator of the Dice loss."""
    localization_loss: LocalizationLoss = LocalizationLoss()
    augment: Annotated[dict[Task, Augmentation], Sorted] = {}
    """Augmentation of each task; a task not named is trained on images as they are."""


class Run(Block):
    """One training experiment."""

    title: str
    """As the tables print it."""
    role: Literal["joint", "baseline"]
    """`joint` is the model the paper proposes; a `baseline` has one dataset and one task and stands beside it in table 3."""
    visits: dict[Name, Annotated[tuple[Task, ...], Field(min_length=1)]]
    """Datasets in the order of a cycle, each with the tasks to train."""
    cycles: Count
    """Times through all visits."""
    horizon_cycles: Count
    """Cycles after which the learning rate reaches zero; apart from `cycles`, so that raising `cycles` continues a run."""
    keep_every: Count = 1
    """Every how many stages, counted from the first, validation may choose the state; the last always stands for choice."""
    gpus: Annotated[int, Field(ge=0)] = 1
    """GPUs the run asks for; on a machine without one it trains on the CPU."""
    override: dict[str, Any] = {}
    """Values that replace those of `pretrain` for this run."""


class Evaluate(Block):
    """Metrics, all from saved predictions."""

    iou: Annotated[float, Field(gt=0, lt=1)] = 0.40
    """Overlap from which a detection counts (mAP40 in the paper)."""
    detections: Count = 100
    """Highest-scoring boxes kept an image."""
    resamples: Annotated[int, Field(ge=20)] = 1000
    """Bootstrap resamples of the patients behind every interval."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95


class Report(Block):
    """Tables and figures."""

    panels: Count = 6
    """Test images shown in each panel of predictions."""
    panel_score: Probability = 0.3
    """Least score of a box drawn in a panel."""


class Params(Block):
    """A complete experiment."""

    results_root: str = "results"
    """Everything generated goes below this folder; each preset has its own."""
    seed: int = 42
    store_size: Annotated[int, Field(ge=32)]
    """Side of the stored square images in pixels; larger than `model.image_size`, so that random crops do not upsample."""
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    model: Model
    pretrain: Pretrain
    runs: Annotated[dict[Name, Run], Field(min_length=1)]
    evaluate: Evaluate = Evaluate()
    report: Report = Report()

    def pretraining(self, run: str) -> Pretrain:
        """`pretrain` with the run's overrides."""
        return Pretrain.model_validate(_merged(self.pretrain.model_dump(), self.runs[run].override))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.store_size < self.model.image_size:
            raise ValueError(
                f"store_size is {self.store_size}, below model.image_size {self.model.image_size}; stored images must not be upsampled"
            )
        for key, run in self.runs.items():
            self._check_run(key, run)
        joint = [key for key, run in self.runs.items() if run.role == "joint"]
        if len(joint) != 1:
            raise ValueError(
                f"runs: {', '.join(joint) or 'none'} with role: joint; give it to one run, which the tables are about"
            )
        cells = [str(run.visits) for run in self.runs.values() if run.role == "baseline"]
        if twice := [
            key for key, run in self.runs.items() if run.role == "baseline" and cells.count(str(run.visits)) > 1
        ]:
            raise ValueError(f"runs: {' and '.join(twice)} are baselines of one dataset and task; keep one")
        return self

    def _check_run(self, key: str, run: Run) -> None:
        for name, tasks in run.visits.items():
            if name not in self.datasets:
                raise ValueError(f"runs.{key}.visits.{name}: no such dataset; {nearest(name, self.datasets)}")
            for task in tasks:
                if task not in self.datasets[name].tasks:
                    raise ValueError(
                        f"runs.{key}.visits.{name}: the dataset has no {task}; it has {', '.join(self.datasets[name].tasks)}"
                    )
                if (
                    task is Task.LOCALIZATION
                    and len(self.datasets[name].classes(task)) > self.model.localization.labels
                ):
                    raise ValueError(
                        f"model.localization.labels is {self.model.localization.labels}, fewer than the localization classes of {name}"
                    )
        if run.role == "baseline" and sum(map(len, run.visits.values())) != 1:
            raise ValueError(f"runs.{key}: a baseline has one dataset and one task")
        try:
            how = self.pretraining(key)
        except ValidationError as error:
            raise ValueError(f"runs.{key}.override.{explain(error, Pretrain)}") from error
        if how.stage is Granularity.CYCLE and run.cycles % how.stage_cycles:
            raise ValueError(
                f"runs.{key}.cycles is {run.cycles}; give a multiple of pretrain.stage_cycles, {how.stage_cycles}"
            )


def _twice(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)


def _merged(base: dict[Any, Any], changes: dict[Any, Any]) -> dict[Any, Any]:
    """`base` with `changes` laid over it, mapping by mapping."""
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def load(path: Path) -> Params:
    """Read and check a complete parameter file.

    Raises:
        InputError: one line naming file, key, value and what is allowed.
    """
    content = yamlfile.load(path)
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, Params)}") from error
