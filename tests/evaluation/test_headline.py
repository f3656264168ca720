"""Names of metrics."""

import pytest

from fxcore.evaluation.headline import headline, printed
from fxcore.passes import Task


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        *(("auc", "AUC"), ("ap", "AP"), ("sensitivity", "sensitivity"), ("ece", "ECE"), ("brier", "Brier score")),
        *(("map40", "mAP40"), ("map", "mAP"), ("ar", "AR"), ("dice", "Dice"), ("iou_pooled", "IoU, pooled")),
        *(("dice_positive", "Dice, positives"), ("hd95", "HD95")),
    ],
)
def test_metrics_as_printed(metric, text):
    assert printed(metric) == text


def test_the_headline_names_its_overlap():
    assert [headline(task, 0.4) for task in Task] == ["auc", "map40", "dice"]
    assert headline(Task.LOCALIZATION, 0.5) == "map50"
