"""Weights of strangers: code in a pickle never runs, and a file that lies is one line, before there is memory for what it claims."""

import io
import json
import os
import pickle
import resource
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from fxcore import tensorfile
from fxcore.cxrlt import chexfound, released
from fxcore.errors import InputError
from fxcore.models import artifact
from fxcore.models.weights.importing import KINDS, import_weights
from fxcore.params.model import Model
from fxcore.passes import Task
from tests.hostile.mutations import bent, few, refused, some, written

ALL = (*KINDS, *chexfound.KINDS)
SWIN = {
    **{f"layers.{n}.blocks.0.attn.relative_position_bias_table": torch.zeros(9, 1) for n in range(4)},
    "patch_embed.proj.weight": torch.zeros(4, 3, 4, 4),
    "norm.weight": torch.zeros(4),
}
CONTENT = {"model": SWIN, "teacher": SWIN, "teacher_model": SWIN, "epoch": 3}


@pytest.fixture
def memory():
    """A gigabyte more than there is, for as long as a test takes."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def imported(kind, path):
    """What is said of a checkpoint, of which nothing is left."""
    make = chexfound.import_weights if kind in chexfound.KINDS else import_weights
    output = path.with_name("out.safetensors")
    said = refused(lambda: make(kind, path, output, None, {}), path)
    assert said
    assert not output.exists()
    return said


def saved(content, **how):
    sink = io.BytesIO()
    torch.save(content, sink, **how)
    return sink.getvalue()


class Reduces:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def forged(code):
    """The archive of PyTorch with another pickle in it."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({"model": {}}))) as old, zipfile.ZipFile(sink, "w") as new:
        for one in old.infolist():
            new.writestr(one.filename, code if one.filename.endswith("data.pkl") else old.read(one))
    return sink.getvalue()


CODE = {
    "mkdir": Reduces(os.mkdir, "executed"),
    "system": Reduces(os.system, "touch executed"),
    "eval": Reduces(eval, "open('executed', 'w')"),
    "exec": Reduces(exec, "open('executed', 'w')"),
    "open": Reduces(open, "executed", "w"),
    "getattr": Reduces(getattr, "x", "mkdir"),
    "import": Reduces(__import__, "antigravity"),
    "torch.load": Reduces(torch.load, "executed"),
    "torch.hub": Reduces(torch.hub.load, "a/b", "c"),
}


@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize(
    "place", ["alone", "as a value", "as a tensor's key", "beside tensors", "of the older format", "forged", "plain"]
)
def test_code_in_a_pickle_does_not_run(tmp_path, monkeypatch, name, place):
    monkeypatch.chdir(tmp_path)
    evil = CODE[name]
    content = {
        "alone": lambda: saved(evil),
        "as a value": lambda: saved({"model": {"norm.weight": evil}}),
        "as a tensor's key": lambda: saved({"model": [(evil, torch.zeros(1))]}),
        "beside tensors": lambda: saved(CONTENT | {"args": evil}),
        "of the older format": lambda: saved(CONTENT | {"args": evil}, _use_new_zipfile_serialization=False),
        "forged": lambda: forged(pickle.dumps(evil, 2)),
        "plain": lambda: pickle.dumps(evil),
    }[place]()
    path = written(tmp_path / "in/weights.pth", content)
    for kind in ("foundation-x", "chexfound"):
        said = imported(kind, path)
        assert "could run code" in said or "is no checkpoint" in said
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("form", ["zip", "older", "safetensors"])
@pytest.mark.parametrize("kind", ["foundation-x", "ark", "swin", "dino", "chexfound", "chexfound-head"])
@few
@given(data=st.data())
def test_a_bent_checkpoint_is_refused(tmp_path, form, kind, data):
    whole = {
        "zip": lambda: saved(CONTENT),
        "older": lambda: saved(CONTENT, _use_new_zipfile_serialization=False),
        "safetensors": lambda: save(SWIN),
    }[form]()
    name = "weights.safetensors" if form == "safetensors" else "weights.pth"
    imported(kind, written(tmp_path / name, data.draw(bent(whole))))


@some
@given(st.binary(max_size=300), st.sampled_from(ALL), st.sampled_from(["a.pth", "a.safetensors", "a.zip", "a"]))
def test_any_bytes_are_refused(tmp_path, content, kind, name):
    imported(kind, written(tmp_path / name, content))


dims = st.lists(st.integers(0, 5), max_size=5)
NAMES = [
    *SWIN,
    *("transformer.level_embed", "transformer.encoder.layers.0.self_attn.attention_weights.weight", "label_enc.weight"),
    *("transformer.encoder.layers.0.linear1.weight", "transformer.tgt_embed.weight", "class_embed.0.weight"),
    *(
        "omni_heads.9.weight",
        "omni_heads.0.weight",
        "projector.weight",
        "class_embed_.9.0.weight",
        "teacher.x",
        "module.norm.weight",
    ),
    *("backbone.0.classification_heads.77.weight", "backbone.0.segmentation_FPN.conv1x1.0.weight", "a.running_var"),
    *(
        "backbone.patch_embed.proj.weight",
        "backbone.pos_embed",
        "backbone.blocks.0.norm1.weight",
        "dino_head.mlp.0.bias",
    ),
    *("classifier_0_blocks_avgpool_False_lr_0_1.decoder.duplicate_pooling_bias", "a\nb", "", "x" * 300),
    *(f"backbone.0.{name}" for name in SWIN),
]


@pytest.mark.parametrize("kind", ALL)
@some
@given(found=st.dictionaries(st.sampled_from(NAMES), dims, min_size=1, max_size=9))
def test_tensors_of_any_names_and_shapes_are_refused(tmp_path, kind, found):
    state = {name: torch.zeros(shape) for name, shape in found.items()}
    content = saved({"model": state, "teacher": state, "teacher_model": state})
    imported(kind, written(tmp_path / "a.pth", content))


def lying(length=None, **claims):
    """A safetensors file whose header says what it wants."""
    header = json.dumps(
        {name: {"dtype": "F32", "shape": shape, "data_offsets": at} for name, (shape, at) in claims.items()}
    ).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + bytes(64)


CLAIMS = {
    "header of 2⁶² bytes": ("a.safetensors", lambda: lying(1 << 62)),
    "header of 99 MB": ("a.safetensors", lambda: lying(99 << 20)),
    "header of nothing": ("a.safetensors", lambda: lying(0)),
    "a tensor of 4 TB": ("a.safetensors", lambda: lying(**{"norm.weight": ([10**6, 10**6], [0, 4 * 10**12])})),
    "a tensor of more than 2⁶⁴": ("a.safetensors", lambda: lying(**{"norm.weight": ([2**40, 2**40], [0, 64])})),
    "an empty tensor of 10¹⁸ rows": (
        "a.safetensors",
        lambda: lying(**{"norm.weight": ([10**18, 0], [0, 0]), "b": ([16], [0, 64])}),
    ),
    "overlapping tensors": ("a.safetensors", lambda: lying(a=([16], [0, 64]), b=([16], [0, 64]))),
    "deep JSON": ("a.safetensors", lambda: struct.pack("<Q", 10**5) + b"[" * 10**5),
    "one number seen as 4 TB": (
        "a.pth",
        lambda: saved({"model": {"norm.weight": torch.zeros(1).expand(10**6, 10**6)}}),
    ),
    "half numbers seen as 4 TB": (
        "a.pth",
        lambda: saved({"model": {"norm.weight": torch.zeros(1, dtype=torch.half).expand(10**6, 10**6)}}),
    ),
    "one storage under many names": ("a.pth", lambda: saved({"model": {str(n): SHARED for n in range(3000)}})),
    "a sparse tensor": (
        "a.pth",
        lambda: saved({"model": {"norm.weight": torch.sparse_coo_tensor(size=(10**9, 10**9))}}),
    ),
    "a tensor without storage": (
        "a.pth",
        lambda: saved({"model": {"norm.weight": torch.zeros(10**9, 10**3, device="meta")}}),
    ),
    "complex numbers": ("a.pth", lambda: saved({"model": {"norm.weight": torch.zeros(4, dtype=torch.complex64)}})),
    "an older storage of 8 GB": ("a.pth", lambda: older()),
    "a packed archive": ("a.pth", lambda: packed()),
    "an archive of something else": ("a.pth", lambda: other()),
    "a tar": ("a.pth", lambda: tarball()),
    "names that break lines": ("a.pth", lambda: saved({"model": {"norm.weight\nloaded   all": torch.zeros(4)}})),
    "names that are numbers": ("a.pth", lambda: saved({"model": {3: torch.zeros(4)}})),
}
SHARED = torch.zeros(1 << 20, dtype=torch.half)


def older():
    """A checkpoint of the older format whose one storage claims two thousand million numbers."""
    content = saved({"model": {"norm.weight": torch.zeros(48)}}, _use_new_zipfile_serialization=False)
    assert content.count(b"K0") >= 1
    return content.replace(b"K0", b"J\xff\xff\xff\x7f")


def packed():
    """A checkpoint whose pickle is a gigabyte of zeros, packed into a megabyte."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        with made.open("archive/data.pkl", "w", force_zip64=True) as body:
            for _ in range(256):
                body.write(bytes(1 << 20))
        made.writestr("archive/version", "3\n")
    return sink.getvalue()


def other():
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        made.writestr("a.txt", "hello")
    return sink.getvalue()


def tarball():
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as made:
        for name in ("storages", "../executed", "pickle"):
            made.addfile(tarfile.TarInfo(name))
    return sink.getvalue()


@pytest.mark.filterwarnings("ignore")  # of torch, which makes them
@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.usefixtures("memory")
def test_a_file_that_claims_more_than_it_has_is_refused_without_memory(tmp_path, claim):
    name, content = CLAIMS[claim]
    path = written(tmp_path / name, content())
    for kind in ("swin", "dino", "chexfound"):
        assert imported(kind, path).isprintable()
    assert [path.name for path in tmp_path.iterdir()] == [name]


NETWORK = {"image_size": 64, "backbone": {"name": "resnet18"}}
DATA = {"mine": {"title": "Mine", "classes": {"classification": ["Mass"]}}}
CARD = {"title": "T", "origin": {}, "licence": "", "model": NETWORK, "data": DATA}
WIDE, BOXES = {"width": 20_000, "feedforward": 20_000}, {"localization": ["a"]}
CARDS = {
    "no card": None,
    "a list": [],
    "a network that loads": CARD
    | {"model": NETWORK | {"backbone": {"name": "resnet18", "arguments": {"pretrained": True}}}},
    "a network that reads": CARD
    | {"model": NETWORK | {"backbone": {"name": "resnet18", "arguments": {"checkpoint_path": "/etc/passwd"}}}},
    "a network of a hub": CARD | {"model": NETWORK | {"backbone": {"name": "hf-hub:a/b"}}},
    "a network of a folder": CARD | {"model": NETWORK | {"backbone": {"name": "local-dir:/etc"}}},
    "no such network": CARD | {"model": NETWORK | {"backbone": {"name": "no_such_network"}}},
    "a huge image": CARD | {"model": NETWORK | {"image_size": 10**9}},
    "many layers": CARD | {"model": NETWORK | {"localization": {"encoder_layers": 10**9}}},
    "wide layers": CARD | {"model": NETWORK | {"backbone": {"name": "resnet18", "arguments": {"base_width": 10**9}}}},
    "wide heads": CARD
    | {"model": NETWORK | {"localization": WIDE}, "data": {"mine": DATA["mine"] | {"classes": BOXES}}},
    "odd arguments": CARD | {"model": NETWORK | {"backbone": {"name": "resnet18", "arguments": {"no_such": 1}}}},
    "a dataset that is a path": CARD | {"data": {"../x": DATA["mine"]}},
    "a title that breaks lines": CARD | {"title": "a\nb"},
    "other tensors": CARD,
}


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.usefixtures("memory")
def test_a_card_that_lies_is_refused_without_memory_network_or_file(tmp_path, monkeypatch, name):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    path = tmp_path / "a.safetensors"
    tensorfile.write(path, {"a": torch.zeros(2)}, {"card": CARDS[name]})
    with pytest.raises(
        InputError, match=r"a\.safetensors: (is no weights file|its card|its tensors are not)"
    ) as caught:
        artifact.read(path)
    assert str(caught.value).isprintable()
    for kind in (released.BackboneCard, released.HeadCard):
        assert refused(lambda kind=kind: released.read(path, kind), path)


@pytest.mark.usefixtures("memory")
def test_a_released_head_that_lies_is_refused_without_memory(tmp_path):
    sizes = {
        "blocks": 1,
        "features": 20_000,
        "width": 20_000,
        "heads": 1,
        "feedforward": 20_000,
        "groups": 20_000,
        "skip": 0,
    }
    card = {"title": "T", "origin": {}, "licence": "", "classes": ["a"], **sizes}
    path = tmp_path / "a.safetensors"
    tensorfile.write(path, {"a": torch.zeros(2)}, {"card": card})
    with pytest.raises(InputError, match=r"a\.safetensors: has no tensor for"):
        released.head(path)


@few
@given(st.data())
def test_a_bent_file_of_ours_is_taken_whole_or_refused(tmp_path, data):
    path = tmp_path / "a.safetensors"
    tensorfile.write(path, {"a": torch.arange(20.0), "b": torch.zeros(2, 2)}, {"card": CARD})
    path.write_bytes(data.draw(bent(path.read_bytes())))
    found = []
    if not refused(lambda: found.append(tensorfile.read(path)), path):
        assert torch.equal(found[0][0]["a"], torch.arange(20.0))


@pytest.mark.parametrize("facts", [b"[]", b"3", b'"x"', b"[" * 9000, b"\xff", b"{", b'{"sha256": []}'])
def test_facts_that_are_none_are_refused(tmp_path, facts):
    header = json.dumps({"__metadata__": {"fxcore": facts.decode("latin-1")}}).encode()
    path = written(tmp_path / "a.safetensors", struct.pack("<Q", len(header)) + header)
    assert refused(lambda: tensorfile.read(path), path)


def test_no_such_arguments_come_by_way_of_parameters():
    for arguments in ({"pretrained": True}, {"pretrained_cfg": "x"}, {"checkpoint_path": "x"}, {"cache_dir": "x"}):
        with pytest.raises(ValueError, match="would load weights; name a weights file"):
            Model.model_validate(NETWORK | {"backbone": {"name": "resnet18", "arguments": arguments}})
    assert Task.CLASSIFICATION in artifact.Card.model_validate(CARD).heads["mine"]
