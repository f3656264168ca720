"""How backbones are pretrained: ours beside the slides, the authors' code, and their log where it says something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from fxcore.errors import InputError
from fxcore.report.cxrlt.results import CxrltResults
from fxcore.report.cxrlt.rows import Record
from fxcore.report.published.cxrlt import Setting, settings
from fxcore.report.render import Table
from fxcore.slices.cxrlt_report import BackboneRow, StageRow

NETWORK = "vit"
STAGE = {
    "start": "starts from",
    "local": "local crop",
    "batch_size": "batch",
    "updates": "updates",
}
"""What a stage has, in the order of rows."""
UNTRAINED = "not trained"
RANDOM = "random weights"
NO_STAGE, NO_SETTING = "no such stage", "no such setting"
Ours = Mapping[str, Mapping[str, str]]
"""Backbone → key of a setting → its value as printed."""


def cxrlt_settings(results: CxrltResults) -> Table:
    """A row a setting, a column a backbone; then what the slides, the authors' code and their log say.

    Raises:
        InputError: the parameters have no backbone.
    """
    backbones = results.slice.backbones
    if not backbones:
        raise InputError("cxrlt.backbones is empty; the table has nothing to show")
    ours = {name: _values(backbone) for name, backbone in backbones.items()}
    lines = _lines(ours)
    records = [_record(line, name, backbones[name].title, ours) for line in lines for name in backbones]
    header = ["of", "setting", *(backbone.title for backbone in backbones.values())]
    header += ["published: slides", "published: code", "published: log of the stage at 512", "note"]
    rows = [
        (
            _of(line),
            line.title,
            *(_cell(line, ours[name]) for name in backbones),
            *(said or "–" for said in (line.slides, line.repository, line.log)),
            line.note,
        )
        for line in lines
    ]
    caption = (
        "How the networks are pretrained without labels, as the parameters say; sides of crops in pixels. Published: the slides (Yang"
        " 2024), the authors' code as they released it later for a follow-up, with ViT-L alone, and a log of its stage at 512 pixels,"
        " which is not in all what the code says; – where they say nothing. Batches of theirs are over 8 GPUs. Theirs count epochs of"
        " updates, ours updates."
    )
    return Table("CXR-LT 2024, pretraining", caption, records, header, rows)


def _values(backbone: BackboneRow) -> dict[str, str]:
    """Settings of a backbone by their key in the published ones, as printed."""
    found = {f"{NETWORK}.{name}": printed(value) for name, value in backbone.vit.items()}
    for stage in backbone.stages:
        found |= {f"{stage.resolution}.{name}": value for name, value in _stage(stage).items()}
    trained = any(stage.updates for stage in backbone.stages)
    return found | {name: printed(value) if trained else UNTRAINED for name, value in backbone.settings.items()}


def _stage(stage: StageRow) -> dict[str, str]:
    found = {"start": RANDOM if stage.start is None else str(stage.start)}
    if not stage.updates:
        return found | dict.fromkeys(("local", "batch_size", "updates"), UNTRAINED)
    return found | {name: printed(getattr(stage, name)) for name in ("local", "batch_size", "updates")}


def printed(value: float | str | Sequence[float | str]) -> str:
    """A parameter as a page has it: whole numbers with separators, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(printed(one) for one in value)


def _lines(ours: Ours) -> list[Setting]:
    """Every setting of ours and of theirs: the network, stages by resolution, then block by block, theirs first."""
    theirs = {one.key: one for one in settings()}
    keys = dict.fromkeys([*theirs, *(key for found in ours.values() for key in found)])
    blocks = list(dict.fromkeys(key.rpartition(".")[0] for key in keys))
    lines = [theirs.get(key) or Setting(key, _title(key), "", "", "", "") for key in keys]
    return [replace(line, note=_note(line)) for line in sorted(lines, key=partial(_order, blocks))]


def _title(key: str) -> str:
    of, _, name = key.rpartition(".")
    return STAGE[name] if of.isdigit() else name.replace("_", " ")


def _order(blocks: Sequence[str], line: Setting) -> tuple[int, int, int]:
    of, _, name = line.key.rpartition(".")
    if of.isdigit():
        return (1, int(of), list(STAGE).index(name))
    return (0 if of == NETWORK else 2, blocks.index(of), 0)


def _of(line: Setting) -> str:
    of = line.key.rpartition(".")[0]
    return f"stage at {of} pixels" if of.isdigit() else {NETWORK: "network", "": "training"}.get(of, of)


def _cell(line: Setting, found: Mapping[str, str]) -> str:
    of = line.key.rpartition(".")[0]
    return found.get(line.key, NO_STAGE if of.isdigit() else NO_SETTING)


def _note(line: Setting) -> str:
    unprinted = "" if line.slides or line.repository or line.log else "not published"
    return "; ".join(filter(None, [line.note and f"published: {line.note}", unprinted]))


def _record(line: Setting, name: str, title: str, ours: Ours) -> Record:
    value = ours[name].get(line.key)
    return {
        "of": _of(line),
        "setting": line.title,
        "key": line.key,
        "backbone": name,
        "title": title,
        "value": value,
        "published_slides": line.slides or None,
        "published_repository": line.repository or None,
        "published_log": line.log or None,
        "note": "; ".join(filter(None, ["" if value is not None else _cell(line, ours[name]), line.note])),
    }
