"""Figure 1: the network with student and teacher, and a cycle of training, drawn from the model and the pass list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

from fxcore.params.model import Model
from fxcore.params.runs import Training
from fxcore.params.training import Pretrain
from fxcore.passes import Task
from fxcore.report import cycle
from fxcore.report.canvas import GREY, INKS, SMALL, Canvas
from fxcore.report.drawn import Drawn
from fxcore.report.results import FigureResults, Results
from fxcore.report.style import STYLE

COLUMNS = (14.0, 97.6)
"""Left and right end of the branches."""
BAR, TRUNK, FLOW, PAD = 4.2, 6.6, 2.8, 1.4
"""Heights of backbone and trunk, of an arrow between them, and the margin of a frame."""
NET = BAR + FLOW + TRUNK + 2 * PAD
BETWEEN = 11.0
"""Between student and teacher, where consistency is written."""
ABOVE, BELOW = 1.0, 2.0
COMPARED = {
    Task.CLASSIFICATION: "features",
    Task.LOCALIZATION: "backbone maps,\nencoder tokens",
    Task.SEGMENTATION: "deepest map,\nfused map",
}
"""What the consistency terms compare, by task."""


@dataclass(frozen=True, slots=True)
class Method:
    """What the picture is drawn from."""

    model: Model
    how: Pretrain
    train: Training
    heads: dict[Task, int]
    """Datasets with a head of each task."""

    @property
    def consistency(self) -> bool:
        """Whether the teacher teaches."""
        return self.train.momentum is not None and self.how.consistency != 0

    def trunk(self, task: Task) -> str:
        """What all datasets share of a branch, after the backbone."""
        match task:
            case Task.CLASSIFICATION:
                projector = self.model.projector
                return f"mean over last map\nprojector ({projector.width})" if projector else "mean over last map"
            case Task.LOCALIZATION:
                sizes = self.model.localization
                return f"projections to {sizes.width}\nencoder, {_counted(sizes.encoder_layers, 'layer')}"
            case Task.SEGMENTATION:
                return "pyramid pooling\nfeature pyramid"

    def head(self, task: Task) -> str:
        """What each dataset has of its own."""
        number, sizes = self.heads[task], self.model.localization
        heads = _counted(number, "head")
        if task is not Task.LOCALIZATION:
            return heads
        return f"{_counted(1 if sizes.decoder == 'shared' else number, 'decoder')}\n{heads}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def figure1_method(results: FigureResults) -> Drawn:
    """Backbone, branches and heads of the joint run, its teacher, and one cycle of its passes."""
    run = results.joint[1]
    how, train = results.slice.pretrain, run.train
    heads = {task: sum(task in tasks for _, tasks in run.order) for task in Task}
    method = Method(results.slice.model, how, train, {task: number for task, number in heads.items() if number})
    passes = results.cycle
    with mpl.rc_context(STYLE):
        base = cycle.height(passes, results.slice.titles)
        networks = NET if train.momentum is None else 2 * NET + BETWEEN
        canvas = Canvas(base + BELOW + networks + ABOVE)
        cycle.strip(canvas, passes, results.slice.titles, _heads(results))
        _networks(canvas, method, base + BELOW)
    return Drawn(canvas.figure, _caption(results, method, len(passes)))


def _heads(results: Results) -> dict[tuple[str, Task], str]:
    """Names of heads, numbered as in table 1."""
    numbers = dict.fromkeys(Task, 0)
    found = {}
    for key in results.slice.titles:
        for task in results.dataset(key).tasks:
            numbers[task] += 1
            found[key, task] = f"{task[0].upper()}{numbers[task]}"
    return found


def _networks(canvas: Canvas, method: Method, bottom: float) -> None:
    """Student above, teacher below and mirrored, so that what consistency compares is face to face."""
    if method.train.momentum is None:
        _network(canvas, method, bottom, "Student", mirrored=False)
        _image(canvas, method, bottom + NET - PAD - BAR / 2, [])
        return
    student = bottom + NET + BETWEEN
    _network(canvas, method, student, "Student", mirrored=False)
    _network(canvas, method, bottom, "Teacher", mirrored=True)
    ends = [student + NET - PAD - BAR / 2, bottom + PAD + BAR / 2]
    _image(canvas, method, bottom + NET + BETWEEN / 2, ends)
    right = COLUMNS[1]
    canvas.arrow((right, student), (right, bottom + NET), linewidth=1.4)
    words = f"teacher\nfollows after\neach pass,\nmomentum\n{method.train.momentum}"
    canvas.words(right - 1, student - BETWEEN / 2, words, ha="right")
    for task, (left, trunk, _) in _places(method).items():
        if method.consistency:
            _consistency(canvas, method, task, left + trunk / 2, student + PAD, bottom + NET - PAD)


def _network(canvas: Canvas, method: Method, bottom: float, title: str, mirrored: bool) -> None:
    """Backbone above its branches; mirrored, below them."""
    left, right = COLUMNS
    dash: dict[str, Any] = {"linestyle": (0, (4, 2))} if mirrored else {}
    canvas.box(left - PAD, bottom, right - left + 2 * PAD, NET, ink=GREY, **dash)
    canvas.words(left - PAD - 1, bottom + NET / 2, title, ha="right", fontsize=SMALL + 2, weight="bold")
    bar = bottom + PAD if mirrored else bottom + NET - PAD - BAR
    trunks = bottom + NET - PAD - TRUNK if mirrored else bottom + PAD
    canvas.box(left, bar, right - left, BAR, f"backbone ({method.model.backbone.name}), shared by all", fill=0.06)
    for task, (start, trunk, head) in _places(method).items():
        ink, middle = INKS[task], start + trunk / 2
        flow = (trunks + TRUNK, bar) if not mirrored else (trunks, bar + BAR)
        canvas.arrow((middle, flow[1]), (middle, flow[0]))
        canvas.box(start, trunks, trunk, TRUNK, f"{task}\n{method.trunk(task)}", ink=ink, fill=0.12)
        own = start + trunk + 2.2
        canvas.arrow((start + trunk, trunks + TRUNK / 2), (own, trunks + TRUNK / 2))
        canvas.box(own, trunks, head, TRUNK, method.head(task), ink=ink, fill=0.35)


def _places(method: Method) -> dict[Task, tuple[float, float, float]]:
    """Of each branch the left end, and the widths of trunk and heads."""
    left, right = COLUMNS
    step = (right - left + 2) / len(method.heads)
    trunk, head = 0.58 * (step - 4.2), 0.42 * (step - 4.2)
    return {task: (left + at * step, trunk, head) for at, task in enumerate(method.heads)}


def _image(canvas: Canvas, method: Method, middle: float, ends: list[float]) -> None:
    """The input, and arrows into the backbones; without any, it stands beside the one."""
    width, tall, size = 9.0, 6.0, method.model.image_size
    canvas.box(0.7, middle - tall / 2, width, tall, f"image\n{size} × {size}", fill=0.06)
    x, target = 0.7 + width / 2, COLUMNS[0]
    if not ends:
        canvas.arrow((0.7 + width, middle), (target, middle))
    for end in ends:
        start = middle + tall / 2 if end > middle else middle - tall / 2
        canvas.arrow((x - 3, start), (target, end), connectionstyle="angle,angleA=90,angleB=0,rad=2")


def _consistency(canvas: Canvas, method: Method, task: Task, x: float, student: float, teacher: float) -> None:
    canvas.arrow((x, student), (x, teacher), arrowstyle="<|-|>", linestyle=(0, (3, 2)), color=INKS[task])
    still = "\nno gradient" if task in method.how.detached else ""
    canvas.words(x + 1, (student + teacher) / 2, f"consistency:\n{COMPARED[task]}{still}", ha="left", color=INKS[task])


def _caption(results: Results, method: Method, passes: int) -> str:
    name, run = results.joint
    keys = list(run.train.visits)
    lock = ", ".join(method.train.lock) or "no task"
    weight = method.how.consistency
    teacher = (
        f" After each pass the teacher moves towards the student (exponential moving average, momentum {method.train.momentum})."
        if method.train.momentum is not None
        else " The run has no teacher."
    )
    taught = (
        f" Release passes add {weight} of the squared distances between student and teacher to the task loss, which has the rest;"
        f" {'the same view' if method.how.views == 1 else 'a view of its own in classification'} is shown to the teacher."
        if method.consistency
        else ""
    )
    return (
        f"{results.kind(keys)} {run.title} (run {name}), as its parameters say: nothing here is measured. One backbone for all of"
        f" {results.named(keys)}; a branch a task, shared by datasets, and a head for each dataset, numbered as in table 1. A cycle"
        f" has {passes} passes and comes {method.train.cycles} times; lock passes come before release passes for {lock}, and the width of"
        f" a block is the part of the dataset's training images that its pass sees.{teacher}{taught}"
    )
