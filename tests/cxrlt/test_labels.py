"""Labels of other datasets in the classes of CXR-LT, by name."""

import numpy as np
import pandas as pd

from fxcore.cxrlt.labels import targets_in
from tests.cxrlt.conftest import SmallStore


def test_classes_are_found_by_name_and_others_are_unknown():
    known = np.array([[True, True, False], [True, True, True]])
    store = SmallStore(
        pd.DataFrame({"image": ["a", "b"], "split": "train"}),
        np.array([[1, 0, 0], [0, 1, 1]]),
        ("Pleural_Thickening", "No Finding", "Effusion"),
        known,
    )
    targets, sure = targets_in(store, ("Normal", "Pleural Effusion", "Mass", "Pleural Thickening"))
    assert sure.tolist() == [[True, False, False, True], [True, True, False, True]]
    assert targets[sure].tolist() == [0, 1, 1, 1, 0]
