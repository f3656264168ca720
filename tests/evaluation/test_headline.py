"""Names of metrics, and which are percentages."""

import pytest

from fxcore.evaluation.headline import headline, is_share, printed
from fxcore.passes import Task


@pytest.mark.parametrize(
    ("metric", "text", "share"),
    [
        *(("auc", "AUC", True), ("ap", "AP", True), ("sensitivity", "sensitivity", True), ("ece", "ECE", True)),
        *(("brier", "Brier score", True), ("map40", "mAP40", True), ("map", "mAP", True), ("ar", "AR", True)),
        *(("dice", "Dice", True), ("iou_pooled", "IoU, pooled", True), ("dice_positive", "Dice, positives", True)),
        ("hd95", "HD95", False),
    ],
)
def test_metrics_as_printed(metric, text, share):
    assert printed(metric) == text
    assert is_share(metric) is share


def test_the_headline_names_its_overlap():
    assert [headline(task, 0.4) for task in Task] == ["auc", "map40", "dice"]
    assert headline(Task.LOCALIZATION, 0.5) == "map50"
