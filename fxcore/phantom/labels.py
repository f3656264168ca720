"""Which drawn findings and organs each class of a dataset means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fxcore.phantom.scene import FINDINGS

MEANS: dict[str, tuple[str, ...]] = {
    "adenopathy": ("wide_mediastinum",),
    "aortic enlargement": ("wide_mediastinum",),
    "atelectasis": ("atelectasis",),
    "azygos lobe": ("cavity",),
    "calcification": ("calcification",),
    "calcification of the aorta": ("calcification",),
    "cardiomegaly": ("cardiomegaly",),
    "clavicle fracture": ("fracture",),
    "consolidation": ("consolidation",),
    "copd": ("emphysema",),
    "diffuse nodule": ("diffuse_nodules",),
    "edema": ("edema",),
    "effusion": ("effusion",),
    "emphysema": ("emphysema",),
    "enlarged cardiomediastinum": ("wide_mediastinum", "cardiomegaly"),
    "fibrosis": ("fibrosis",),
    "fissure": ("effusion",),
    "fracture": ("fracture",),
    "granuloma": ("nodule", "calcification"),
    "hernia": ("hernia",),
    "hydropneumothorax": ("pneumothorax",),
    "ild": ("fibrosis",),
    "infarction": ("consolidation",),
    "infiltrates": ("opacity",),
    "infiltration": ("opacity",),
    "kyphosis": ("fracture",),
    "lobar atelectasis": ("atelectasis",),
    "lung cavity": ("cavity",),
    "lung lesion": ("nodule", "mass"),
    "lung opacity": ("opacity", "consolidation"),
    "lung tumor": ("mass",),
    "mass": ("mass",),
    "nodule": ("nodule",),
    "nodule/mass": ("nodule", "mass"),
    "other diseases": ("fibrosis", "emphysema", "calcification"),
    "other lesion": ("hernia",),
    "pleural effusion": ("effusion",),
    "pleural other": ("pleural_thickening",),
    "pleural thickening": ("pleural_thickening",),
    "pneumomediastinum": ("pneumothorax",),
    "pneumonia": ("opacity", "consolidation"),
    "pneumoperitoneum": ("pneumothorax",),
    "pneumothorax": ("pneumothorax",),
    "pulmonary embolism": ("opacity",),
    "pulmonary fibrosis": ("fibrosis",),
    "pulmonary hypertension": ("cardiomegaly",),
    "rib fracture": ("fracture",),
    "round(ed) atelectasis": ("atelectasis", "mass"),
    "subcutaneous emphysema": ("emphysema",),
    "support devices": ("devices",),
    "tb": ("tuberculosis",),
    "tortuous aorta": ("wide_mediastinum",),
    "tuberculosis": ("tuberculosis",),
}
"""Findings of which any makes a class present; names in lower case."""
NORMAL = ("no finding", "normal")
"""Classes of a picture without any finding."""
ABNORMAL = {"no lung opacity/not normal": "lung opacity"}
"""Classes of a picture with findings, none of which means another class."""
ORGANS: dict[str, tuple[str, ...]] = {
    "right lung": ("Right Lung",),
    "left lung": ("Left Lung",),
    "lung": ("Right Lung", "Left Lung"),
    "lungs": ("Right Lung", "Left Lung"),
    "heart": ("Heart",),
    "right clavicle": ("Right Clavicle",),
    "left clavicle": ("Left Clavicle",),
    "clavicles": ("Right Clavicle", "Left Clavicle"),
    **{f"{side.lower()}{number}": (f"{side}{number}",) for side in "RL" for number in range(1, 11)},
}
"""Organs that a class joins."""
BYSTANDERS = ("effusion", "calcification", "devices", "cardiomegaly", "atelectasis")
"""Findings that also occur where a dataset is about something else."""


MORE = 3
"""Findings that a picture may have beside its first, at most."""


def plain(name: str) -> str:
    """A class name without what differs between releases."""
    return name.lower().replace("_", " ")


def known(name: str) -> bool:
    """Whether a class can be drawn."""
    return plain(name) in MEANS.keys() | ORGANS.keys() | set(NORMAL) | ABNORMAL.keys()


def present(name: str, findings: Iterable[str]) -> bool:
    """Whether a class applies to a picture with some findings."""
    key, drawn = plain(name), set(findings)
    if key in NORMAL:
        return not drawn
    if key in ABNORMAL:
        return bool(drawn) and not drawn & set(MEANS[ABNORMAL[key]])
    return key in ORGANS or bool(drawn & set(MEANS[key]))


def choose(classes: Sequence[str], number: int, random: np.random.Generator) -> tuple[str, ...]:
    """Findings of the picture at place `number` of its split, for a dataset with some classes.

    Three in ten pictures have none of the classes' findings; the others take turns, so that each class occurs in a split
    that has some pictures for each, and some have several. Bystanders come on top.
    """
    pool = sorted({finding for name in classes for finding in MEANS.get(plain(name), ())})
    others = [finding for finding in BYSTANDERS if finding not in pool]
    drawn: set[str] = set()
    if number % 10 >= 3 and pool:
        # Counts the pictures with a finding before this one, modulo the pool.
        drawn.add(pool[(number - 3 * (number // 10 + 1)) % len(pool)])
        more = int(random.integers(min(len(pool), MORE + 1)))
        drawn.update(pool[int(at)] for at in random.choice(len(pool), more, replace=False))
    if others and random.random() < (0.25 if len(pool) < len(BYSTANDERS) else 0.0):
        drawn.add(others[int(random.integers(len(others)))])
    return tuple(finding for finding in FINDINGS if finding in drawn)
