"""Operations and bytes against the published formula of Swin, against the trainer's own updates, and by hand."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fxcore.errors import InputError
from fxcore.params import experiment
from fxcore.passes import Mode, Task
from fxcore.planning.costs import Costs
from fxcore.planning.work import Sizes
from fxcore.slices.make import train_slice
from fxcore.training import locking
from fxcore.training.flops import Shapes
from fxcore.training.loop import Trainer
from tests.conftest import PROJECT

CLS, LOC, SEG = Task


def swin(width, depths, side, window, patch=4, colours=3):
    """Operations of a Swin transformer's forward: Liu et al. 2021, equation 2, with feed-forwards, merging and patches."""
    rows = side // patch
    products = rows**2 * patch**2 * colours * width
    for stage, depth in enumerate(depths):
        tokens, channels = (rows // 2**stage) ** 2, width * 2**stage
        attention = 4 * tokens * channels**2 + 2 * window**2 * tokens * channels
        products += depth * (attention + 8 * tokens * channels**2)
        if stage:
            products += tokens * (2 * channels) * channels
    return 2 * products


SWIN_B = swin(128, (2, 2, 18, 2), 224, 7)
PATCHES = 2 * 56**2 * 48 * 128


@pytest.fixture(scope="module")
def paper():
    params = experiment.load(PROJECT / "presets/paper.yaml")
    slice_ = train_slice(params, params.joint)
    visits = (("candid_ptx", tuple(Task)),)
    heads = {"candid_ptx": dict.fromkeys(Task, 1)}
    slice_ = slice_.model_copy(update={"visits": visits, "snapshots": None})
    return Shapes(slice_, heads), {(one.task, one.mode): one for one in slice_.passes(1)}


def test_the_papers_backbone_takes_the_published_15_4_billion_multiplications(paper):
    shapes, _ = paper
    assert pytest.approx(2 * 15.4e9, rel=0.005) == SWIN_B
    assert shapes.trunk(CLS) == SWIN_B


def test_a_release_pass_goes_forward_and_twice_as_far_back(paper):
    shapes, passes = paper
    # nobody asks for the gradient of the image; the head is 1024 × 1
    assert shapes.update(passes[CLS, Mode.RELEASE]) == 3 * SWIN_B - PATCHES + 3 * 2 * 1024


def test_a_lock_pass_does_not_go_back_through_the_trunk(paper):
    shapes, passes = paper
    head = 2 * 56**2 * 9 * 128  # 3 × 3 on the finest map, forward; back to its own weights only
    assert shapes.update(passes[SEG, Mode.LOCK]) == shapes.trunk(SEG) + 2 * head
    assert shapes.trunk(LOC) < shapes.update(passes[LOC, Mode.LOCK]) < shapes.update(passes[LOC, Mode.RELEASE])


def test_a_release_update_of_four_images_is_the_1160_billion_of_the_benchmark(paper):
    shapes, passes = paper
    operations = 4 * (shapes.update(passes[LOC, Mode.RELEASE]) + shapes.trunk(LOC))
    assert operations == pytest.approx(1160e9, rel=0.005)  # benchmarks/README.md, counted while it trained


@pytest.fixture
def costs(tiny):
    params = tiny()
    return Costs(params, Sizes(params), 0.5)


def test_the_trainers_own_updates_take_what_shapes_say(tiny, stores, costs):
    slice_ = train_slice(tiny(), "foundation_x")
    trainer = Trainer(slice_, stores, 100, torch.device("cpu"))
    for one in slice_.passes(1):
        batch, parameters = next(iter(trainer.batches(one))), locking.apply(trainer.student, one)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            trainer._update(one, batch, parameters)
        # what is beside the networks: costs of matching, in products of boxes and classes
        assert counter.get_total_flops() == pytest.approx(4 * costs.image("foundation_x", one), rel=0.01), one.name


def test_a_baseline_has_no_teacher_to_compute(costs):
    joint, alone = (
        train_slice(costs.params, run).passes(1)[-1 if run == "example_a_localization" else 2] for run in RUNS
    )
    assert (joint.task, joint.mode) == (alone.task, alone.mode) == (LOC, Mode.RELEASE)
    assert costs.image(RUNS[0], joint) - costs.image(RUNS[1], alone) == costs._shapes[RUNS[0]].trunk(LOC)


RUNS = ("foundation_x", "example_a_localization")


def test_hours_are_operations_at_the_rate_that_was_given(costs):
    assert costs.hours(18 * 10**14) == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_no_device_has_is_refused(tiny, rate):
    with pytest.raises(InputError, match=r"^--tflops .*: give the rate that the device sustains, a number above 0$"):
        Costs(tiny(), Sizes(tiny()), rate)
