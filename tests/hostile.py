"""Functional folders made to harm: ``python -m tests.hostile FOLDER`` writes them all.

Each case takes a sound folder and spoils it; the text is what its refusal has to say. Those with
`signed` have right hashes, so that only their content gives them away.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.folders import copy_folder, read_record, seal
from xcnet.spec import MAX_FILE_BYTES, RECORD, write_record

Graph = Any  # onnx.GraphProto, whose package has no types
GRAPH, REFERENCE = "vxc.onnx", "reference.npz"
FIRST_ID = 180_000


@dataclass(frozen=True)
class Case:
    """How a folder is spoiled, and what is said of it."""

    says: str
    spoil: Callable[[Path], None]
    signed: bool = False


CASES: dict[str, Case] = {}


def case(says: str, signed: bool = False) -> Callable[[Callable[[Path], None]], None]:
    def add(spoil: Callable[[Path], None]) -> None:
        CASES[spoil.__name__] = Case(says, spoil, signed)

    return add


def graph_case(says: str) -> Callable[[Callable[[Graph], None]], None]:
    """A case that changes the graph of vxc."""

    def add(change: Callable[[Graph], None]) -> None:
        def spoil(folder: Path) -> None:
            model = onnx.load(folder / GRAPH)
            change(model.graph)
            (folder / GRAPH).write_bytes(model.SerializeToString())

        CASES[change.__name__] = Case(says, spoil, signed=True)

    return add


def record_case(title: str, says: str, **changes: Any) -> None:
    """A case that changes the record alone."""

    def spoil(folder: Path) -> None:
        write_record({**read_record(folder), **changes}, folder)

    CASES[title] = Case(says, spoil)


def constant(name: str, shape: list[int], kind: int, content: bytes) -> TensorProto:
    return TensorProto(name=name, dims=shape, data_type=kind, raw_data=content)


def put(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


# -- files -------------------------------------------------------------------------------------


@case("not valid JSON")
def truncated_record(folder: Path) -> None:
    put(folder / RECORD, lambda data: data[: len(data) // 2])


@case("vxc.onnx is altered")
def truncated_graph(folder: Path) -> None:
    put(folder / GRAPH, lambda data: data[: len(data) // 2])


@case("vxc.onnx is altered")
def flipped_bit(folder: Path) -> None:
    put(folder / GRAPH, lambda data: data[:900] + bytes([data[900] ^ 4]) + data[901:])


@case("vxc.onnx is refused", signed=True)
def truncated_and_signed(folder: Path) -> None:
    put(folder / GRAPH, lambda data: data[: len(data) // 2])


@case("vxc.onnx is refused", signed=True)
def text_and_signed(folder: Path) -> None:
    (folder / GRAPH).write_text("import os; os.system('true')\n" * 50)


@case("vxc.onnx is refused: no graph", signed=True)
def empty_and_signed(folder: Path) -> None:
    (folder / GRAPH).write_bytes(b"")


@case("vxc.onnx is missing")
def missing_file(folder: Path) -> None:
    (folder / GRAPH).unlink()


@case("payload.py, not listed")
def unsigned_file(folder: Path) -> None:
    (folder / "payload.py").write_text("raise SystemExit\n")


@case("leads out of its folder")
def link_out_of_the_folder(folder: Path) -> None:
    (folder / GRAPH).unlink()
    (folder / GRAPH).symlink_to("/etc/passwd")


@case("cannot be read|leads out|missing")
def link_to_itself(folder: Path) -> None:
    (folder / GRAPH).unlink()
    (folder / GRAPH).symlink_to(folder / GRAPH)


@case("leads out of its folder")
def endless_device(folder: Path) -> None:
    (folder / RECORD).unlink()
    (folder / RECORD).symlink_to("/dev/zero")


@case("leads out of its folder")
def endless_graph(folder: Path) -> None:
    (folder / GRAPH).unlink()
    (folder / GRAPH).symlink_to("/dev/zero")


@case("leads out of its folder")
def link_to_the_right_content_outside(folder: Path) -> None:
    outside = folder.parent / f".{folder.name}.onnx"
    (folder / GRAPH).rename(outside)
    (folder / GRAPH).symlink_to(outside)


@case("vxc.onnx is not a regular file")
def pipe_that_blocks(folder: Path) -> None:
    (folder / GRAPH).unlink()
    os.mkfifo(folder / GRAPH)


@case("vxc.onnx is not a regular file")
def folder_for_a_file(folder: Path) -> None:
    (folder / GRAPH).unlink()
    (folder / GRAPH).mkdir()


@case("larger than")
def sparse_gigabytes(folder: Path) -> None:
    with (folder / GRAPH).open("r+b") as stream:
        stream.truncate(10 << 30)


@case("larger than")
def sparse_record(folder: Path) -> None:
    with (folder / RECORD).open("r+b") as stream:
        stream.truncate(10 << 30)


@case("together larger than")
def many_large_files(folder: Path) -> None:
    """Each within its limit, with its right hash."""
    record = read_record(folder)
    sha256 = hashlib.sha256(bytes(MAX_FILE_BYTES)).hexdigest()
    for i in range(20):
        with (folder / f"large{i}.npz").open("wb") as stream:
            stream.truncate(MAX_FILE_BYTES)
        record["files"][f"large{i}.npz"] = sha256
    write_record(record, folder)


# -- records -----------------------------------------------------------------------------------

record_case("name_with_separator", "name", name="gga_x_../../evil")
record_case("file_with_separator", "files: its names must match", files={"../exc.onnx": "0" * 64})
record_case("absolute_file", "files: its names must match", files={"/etc/passwd": "0" * 64})
record_case("alias_with_separator", "aliases", aliases=["../x"])
record_case("wrong_family_in_record", "contradicts the name", family="mgga")
record_case("endless_number", "id", id=10**300)
record_case("graph_of_another_order", "share one file", derivatives={"exc": GRAPH, "vxc": GRAPH})


@case("not valid JSON")
def deep_record(folder: Path) -> None:
    (folder / RECORD).write_text('{"a":' * 100_000)


@case("not valid JSON")
def number_with_many_digits(folder: Path) -> None:
    (folder / RECORD).write_text('{"format_version": ' + "9" * 500_000 + "}")


@case("differ from the record in xcnet.family|its inputs are not those")
def claims_another_family(folder: Path) -> None:
    record = {**read_record(folder), "name": "lda_x_claimed", "family": "lda", "inputs": ["rho"]}
    write_record(record, folder)


@case("its inputs are not those", signed=True)
def claims_another_family_everywhere(folder: Path) -> None:
    record = {
        **read_record(folder),
        "name": "lda_x_claimed_too",
        "family": "lda",
        "inputs": ["rho"],
    }
    write_record(record, folder)


@case("closed_shell.onnx is refused: its inputs are not those", signed=True)
def spin_resolved_graph_signed_for_closed_shells(folder: Path) -> None:
    record = read_record(folder)
    graph, closed = (record[key]["vxc"] for key in ("derivatives", "closed_shell"))
    (folder / closed).write_bytes((folder / graph).read_bytes())


# -- graphs ------------------------------------------------------------------------------------


def _external(location: str) -> Callable[[Graph], None]:
    def change(graph: Graph) -> None:
        tensor = graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


for _name, _place in (
    ("external_traversal", "../../../../etc/passwd"),
    ("external_absolute", "/etc/passwd"),
    ("external_beside", "CARD.md"),
):
    _change = _external(_place)
    _change.__name__ = _name
    graph_case("external data is refused")(_change)


@graph_case("has 8 bytes, not 10000000000")
def ten_gigabytes_declared(graph: Graph) -> None:
    graph.initializer.append(constant("big", [1_250_000_000], TensorProto.DOUBLE, b"\0" * 8))


@graph_case("impossible shape")
def negative_dimension(graph: Graph) -> None:
    graph.initializer.append(constant("big", [-1], TensorProto.DOUBLE, b""))


@graph_case("impossible shape")
def no_elements(graph: Graph) -> None:
    graph.initializer.append(constant("big", [0, 1 << 40], TensorProto.DOUBLE, b""))


@graph_case("has 0 bytes")
def overflowing_dimensions(graph: Graph) -> None:
    graph.initializer.append(constant("big", [1 << 32, 1 << 32], TensorProto.DOUBLE, b""))


@graph_case("Expand gives .* values per point")
def ten_gigabytes_made(graph: Graph) -> None:
    shape = numpy_helper.from_array(np.array([100_000, 100_000]), "huge")
    graph.initializer.append(shape)
    graph.node.append(helper.make_node("Expand", [graph.initializer[0].name, "huge"], ["big"]))


@graph_case("a value for every other point")
def every_pair_of_points(graph: Graph) -> None:
    graph.node.append(helper.make_node("Transpose", ["rho"], ["turned"], perm=[1, 0]))
    graph.node.append(helper.make_node("MatMul", ["rho", "turned"], ["pairs"]))


@graph_case("values per point at once")
def many_results_at_once(graph: Graph) -> None:
    ones = numpy_helper.from_array(np.ones((4096, 2)), "ones")
    graph.initializer.append(ones)
    graph.node.append(helper.make_node("Transpose", ["rho"], ["turned"], perm=[1, 0]))
    names = [f"wide{i}" for i in range(20)]
    graph.node.extend(helper.make_node("MatMul", ["ones", "turned"], [name]) for name in names)
    graph.node.append(helper.make_node("Max", names, ["last"]))


@graph_case("nodes, more than 50000")
def a_million_nodes(graph: Graph) -> None:
    # 60,000, which the reader stops at; the rest would only be a larger file.
    last = "rho"
    for i in range(60_000):
        graph.node.append(helper.make_node("Neg", [last], [f"n{i}"]))
        last = f"n{i}"


@graph_case("before anything gives it: a cycle")
def cyclic(graph: Graph) -> None:
    graph.node.append(helper.make_node("Neg", ["two"], ["one"]))
    graph.node.append(helper.make_node("Neg", ["one"], ["two"]))


@graph_case("before anything gives it: a cycle")
def cycle_of_one(graph: Graph) -> None:
    graph.node.append(helper.make_node("Neg", ["self"], ["self"]))


@graph_case("two results have the name")
def two_results_of_a_name(graph: Graph) -> None:
    graph.node.append(helper.make_node("Neg", ["rho"], ["zk"]))


@graph_case("custom operators")
def custom_operator(graph: Graph) -> None:
    graph.node.append(helper.make_node("Run", ["rho"], ["own"], domain="com.evil"))


@graph_case("'Identity' is not one of those")
def operator_outside_the_list(graph: Graph) -> None:
    graph.node.append(helper.make_node("Identity", ["rho"], ["own"]))


@graph_case("field 5 in a node's attribute")
def memory_by_shape(graph: Graph) -> None:
    value = numpy_helper.from_array(np.array([1.0]))
    graph.initializer.append(numpy_helper.from_array(np.array([1 << 40]), "size"))
    graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["own"], value=value))


@graph_case("field 6 in a node's attribute")
def loop_inside(graph: Graph) -> None:
    body = helper.make_graph([], "body", [], [])
    graph.node.append(helper.make_node("Loop", ["", "", "rho"], ["own"], body=body))


@graph_case("data type 1, not float64")
def single_precision_constant(graph: Graph) -> None:
    graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "single"))


@graph_case("data type 8")
def text_constant(graph: Graph) -> None:
    graph.initializer.append(constant("text", [1], TensorProto.STRING, b"12345678"))


@graph_case("its inputs are not those")
def single_precision_input(graph: Graph) -> None:
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


@graph_case("its outputs are not those")
def missing_output(graph: Graph) -> None:
    del graph.output[-1]


@graph_case("its inputs are not those")
def input_of_its_own(graph: Graph) -> None:
    graph.input.append(helper.make_tensor_value_info("key", TensorProto.DOUBLE, ["N", 1]))


@graph_case("is not what the graph computes")
def output_of_another_shape(graph: Graph) -> None:
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == "vrho":
                node.output[i] = "hidden"
    graph.node.append(helper.make_node("Concat", ["hidden", "hidden"], ["vrho"], axis=1))


@graph_case("field 15 in a graph")
def sparse_constant(graph: Graph) -> None:
    graph.sparse_initializer.add()


@case("it has metadata .xcnet.name.", signed=True)
def metadata_of_its_own(folder: Path) -> None:
    model = onnx.load(folder / GRAPH)
    helper.set_model_props(model, {"xcnet.name": "gga_x_other"})
    (folder / GRAPH).write_bytes(model.SerializeToString())


@case("field 25 in a model", signed=True)
def function_inside(folder: Path) -> None:
    model = onnx.load(folder / GRAPH)
    node = helper.make_node("Neg", ["x"], ["y"])
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("", "Exp", ["x"], ["y"], [node], opsets))
    (folder / GRAPH).write_bytes(model.SerializeToString())


@case("ONNX's own operators", signed=True)
def other_operator_set(folder: Path) -> None:
    model = onnx.load(folder / GRAPH)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    (folder / GRAPH).write_bytes(model.SerializeToString())


@case("two fields 'graph'", signed=True)
def two_graphs(folder: Path) -> None:
    # Readers merge them, so that what is checked and what is run could differ.
    put(
        folder / GRAPH,
        lambda data: data + onnx.ModelProto(graph=onnx.GraphProto()).SerializeToString(),
    )


@case("two fields 'graph'|field|wire type|truncated", signed=True)
def graph_of_nested_lengths(folder: Path) -> None:
    put(folder / GRAPH, lambda data: data + b"\x3a\x02\x3a\x00" * 1000)


# -- reference vectors --------------------------------------------------------------------------


def _reference(folder: Path, arrays: dict[str, bytes], compression: int = 0) -> None:
    with zipfile.ZipFile(folder / REFERENCE, "w", compression) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)


def _npy(header: str, content: bytes = b"") -> bytes:
    text = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + content


def _named(folder: Path, content: bytes) -> dict[str, bytes]:
    with np.load(folder / REFERENCE) as stored:
        return dict.fromkeys(stored, content)


@case("not a reference vector: .*more than", signed=True)
def zip_bomb(folder: Path) -> None:
    _reference(folder, {"rho": b"\0" * 300_000_000}, zipfile.ZIP_DEFLATED)


@case("not a reference vector: .*size that it claims", signed=True)
def array_of_ten_gigabytes(folder: Path) -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1250000000,), }"
    _reference(folder, _named(folder, _npy(header, b"\0" * 8)))


@case("not a reference vector", signed=True)
def pickle_in_the_reference(folder: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    _reference(folder, _named(folder, stream.getvalue()))


@case("not a reference vector", signed=True)
def text_for_a_reference(folder: Path) -> None:
    (folder / REFERENCE).write_text("no archive")


def make(parent: Path, name: str) -> Path:
    """Write one case; returns its folder."""
    number = list(CASES).index(name)
    folder = copy_folder(parent, f"gga_x_hostile_{number}", id=FIRST_ID + number)
    chosen = CASES[name]
    chosen.spoil(folder)
    if chosen.signed:
        _sign(folder)
    return folder


def _sign(folder: Path) -> None:
    """Right hashes."""
    seal(read_record(folder), folder)


if __name__ == "__main__":
    for _case in CASES:
        print(make(Path(sys.argv[1]), _case), _case)
