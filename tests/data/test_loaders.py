"""Batches: geometry is shared by image, boxes and masks, and a sample depends on its image and seed alone."""

import os
import signal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import get_worker_info

from fxcore.data import transforms
from fxcore.data.loaders import Samples, in_order, loader, shuffled, watched
from fxcore.errors import InputError
from fxcore.params.datasets import Dataset
from fxcore.params.model import Model
from fxcore.params.training import Augmentation
from fxcore.passes import Split, Task
from fxcore.slices.data import Heads, StoreSlice
from tests.conftest import FOLDER_PARAMS, make_store, split_store

DATASET = Dataset.model_validate(FOLDER_PARAMS)
HEADS = Heads.of(DATASET, tuple(Task))
EVERYTHING = Augmentation(crop=0.5, flip=0.5, rotate=10, shift=0.1, zoom=0.2, brightness=0.3, contrast=0.3)


@pytest.fixture
def store(folder_dataset, tmp_path):
    make_store(StoreSlice(key="mine", store_size=40, dataset=DATASET), folder_dataset.write(), tmp_path / "store")
    return split_store(tmp_path / "store")


def _batches(store, task, transform, keys, workers=0):
    return list(loader(Samples(store, task, HEADS, transform), keys, workers))


def test_boxes_come_as_centre_and_size_in_0_to_1(store):
    (batch,) = _batches(store, Task.LOCALIZATION, transforms.plain(32), [[(0, 0), (1, 0)]])
    # 3, 4, 10, 6 of 30 × 20 pixels
    torch.testing.assert_close(batch.boxes[0].boxes, torch.tensor([[8 / 30, 7 / 20, 10 / 30, 6 / 20]]))
    assert batch.boxes[0].labels.tolist() == [0]
    assert batch.boxes[1].boxes.shape == (0, 4)
    assert batch.images.shape == (2, 1, 32, 32)
    assert batch.images.dtype == torch.uint8


def test_a_mirrored_image_has_mirrored_boxes_and_masks(store):
    flip = Augmentation(flip=1.0)
    for task in (Task.LOCALIZATION, Task.SEGMENTATION):
        (plain,) = _batches(store, task, transforms.plain(40), [[(0, 0)]])
        (mirrored,) = _batches(store, task, transforms.training(task, 40, flip, mirror=True), [[(0, 0)]])
        torch.testing.assert_close(mirrored.images, plain.images.flip(-1))
        if task is Task.LOCALIZATION:
            cx, *rest = plain.boxes[0].boxes[0].tolist()
            torch.testing.assert_close(mirrored.boxes[0].boxes[0], torch.tensor([1 - cx, *rest]))
        else:
            torch.testing.assert_close(mirrored.masks, plain.masks.flip(-1))


def test_a_dataset_with_sides_is_never_mirrored(store):
    transform = transforms.training(Task.SEGMENTATION, 40, Augmentation(flip=1.0), mirror=False)
    (made,) = _batches(store, Task.SEGMENTATION, transform, [[(0, 0)]])
    (plain,) = _batches(store, Task.SEGMENTATION, transforms.plain(40), [[(0, 0)]])
    torch.testing.assert_close(made.images, plain.images)


@pytest.mark.parametrize("task", Task)
def test_a_sample_depends_on_its_seed_and_not_on_who_loads_it(store, task):
    transform = transforms.training(task, 32, EVERYTHING, mirror=True)
    keys = [[(0, 11), (1, 12)], [(2, 13), (0, 14)]]
    alone = _batches(store, task, transform, keys)
    torch.rand(7)  # the global generator has moved on
    again = _batches(store, task, transform, keys[::-1])[::-1]
    beside = _batches(store, task, transform, keys, workers=1)
    for one, two, three in zip(alone, again, beside, strict=True):
        torch.testing.assert_close(one.images, two.images, rtol=0, atol=0)
        torch.testing.assert_close(one.images, three.images, rtol=0, atol=0)
    assert not torch.equal(alone[0].images[0], alone[1].images[1])


@pytest.mark.parametrize("task", Task)
def test_loading_leaves_the_global_generator_alone(store, task):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    _batches(store, task, transforms.training(task, 32, EVERYTHING, mirror=True), [[(0, 1), (1, 2)]])
    torch.testing.assert_close(torch.rand(3), expected)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_augmented_boxes_stay_inside_the_image(seed):
    from torchvision import tv_tensors

    transform = transforms.training(Task.LOCALIZATION, 32, EVERYTHING, mirror=True)
    torch.manual_seed(seed)
    boxes = tv_tensors.BoundingBoxes(
        torch.tensor([[3.0, 4, 13, 10], [0, 0, 40, 40]]), format="XYXY", canvas_size=(40, 40)
    )
    made = transform(
        {
            "image": tv_tensors.Image(torch.zeros(1, 40, 40, dtype=torch.uint8)),
            "boxes": boxes,
            "labels": torch.tensor([0, 1]),
        }
    )
    assert len(made["boxes"]) == len(made["labels"])
    assert bool((made["boxes"] >= 0).all())
    assert bool((made["boxes"] <= 32).all())
    assert bool((made["boxes"][:, 2:] - made["boxes"][:, :2] >= 1).all())


@given(st.integers(1, 60), st.integers(1, 8), st.integers(0, 2**40))
def test_a_shuffled_pass_sees_no_image_twice(images, batch_size, seed):
    rows = np.arange(100, 100 + images)
    updates = max(1, images // batch_size)
    batches = shuffled(rows, batch_size, updates, seed)
    seen = [row for batch in batches for row, _ in batch]
    assert len(batches) == updates
    assert len(set(seen)) == len(seen) == min(images, updates * batch_size)
    assert batches == shuffled(rows, batch_size, updates, seed)


def test_half_a_pass_is_a_random_half_not_always_the_same():
    rows = np.arange(40)
    halves = [frozenset(row for batch in shuffled(rows, 4, 5, seed) for row, _ in batch) for seed in range(6)]
    assert all(len(half) == 20 for half in halves)
    assert len(set(halves)) == 6


def test_in_order_covers_every_row_once():
    assert [[row for row, _ in batch] for batch in in_order(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]


def test_labels_carry_what_is_known(store):
    (batch,) = _batches(store, Task.CLASSIFICATION, transforms.plain(32), [[(0, 0), (1, 0)]])
    assert batch.labels[:, 0].tolist() == [0, 1]
    assert batch.known.tolist() == [[True, False], [True, False]]


def test_rows_of_splits_do_not_overlap(store):
    seen = [set(store.rows(Task.CLASSIFICATION, split).tolist()) for split in Split]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 7


def test_normalised_grey_has_the_asked_mean_and_spread():
    model = Model(image_size=32, mean=0.5, std=0.25, backbone={"name": "x"})
    made = transforms.normalise(torch.tensor([[0, 255]], dtype=torch.uint8), model)
    torch.testing.assert_close(made, torch.tensor([[-2.0, 2.0]]))


def test_a_loading_process_that_dies_is_one_line(store):
    def killed(sample):
        if get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample

    line = (
        r"^a process that loads data died \(DataLoader worker \(pid.* \d+\) .*\), probably for want of memory; give the machine"
        r" more, or set fewer workers in local\.yaml, and start again; training continues from its last autosave$"
    )
    with pytest.raises(InputError, match=line), watched():
        _batches(store, Task.CLASSIFICATION, killed, [[(0, 0)], [(1, 0)]], workers=1)


def test_another_error_while_data_are_loaded_stays_what_it_is():
    with pytest.raises(RuntimeError, match="shape"), watched():
        raise RuntimeError("shape")
