"""Writes every_field.onnx: a model in which every field of every ONNX message is set.

Run with the `onnx` package installed: `python tests/data/every_field.py`. The model means nothing; it only shows that the
reader knows every field. Fields that contradict one another (the data of a tensor, the values of an attribute, the members
of a oneof) are set in separate messages.
"""

from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto
from google.protobuf.descriptor import FieldDescriptor as F

RECURSIVE = {"onnx.GraphProto", "onnx.TypeProto", "onnx.AttributeProto", "onnx.TensorProto", "onnx.SparseTensorProto"}
count = 0


def scalar(field):
    global count
    count += 1
    if field.type in (F.TYPE_STRING,):
        return f"{field.name}{count}"
    if field.type == F.TYPE_BYTES:
        return f"{field.name}{count}".encode()
    if field.type in (F.TYPE_FLOAT, F.TYPE_DOUBLE):
        return count + 0.5
    if field.type == F.TYPE_ENUM:
        return 1
    return count


def fill(message, depth):
    """Sets every field of a message; recursive messages end after some levels."""
    name = message.DESCRIPTOR.full_name
    if name == "onnx.TensorProto":
        message.CopyFrom(tensor())
        return
    if name == "onnx.SparseTensorProto":
        global count
        count += 1
        values = onnx.helper.make_tensor(f"sparse{count}", TensorProto.FLOAT, [1], [2.0])
        indices = onnx.helper.make_tensor("", TensorProto.INT64, [1], [3])
        message.CopyFrom(onnx.helper.make_sparse_tensor(values, indices, [5]))
        return
    oneofs = set()
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None:
            if field.containing_oneof.name in oneofs:
                continue
            oneofs.add(field.containing_oneof.name)
        if field.message_type is not None:
            if depth == 0 and field.message_type.full_name in RECURSIVE:
                continue
            inner = getattr(message, field.name)
            inner = inner.add() if field.is_repeated else inner
            inner.SetInParent()
            fill(inner, depth - 1 if field.message_type.full_name in RECURSIVE else depth)
        elif field.is_repeated:
            getattr(message, field.name).extend([scalar(field), scalar(field)])
        else:
            setattr(message, field.name, scalar(field))


def tensor():
    """A tensor whose data are raw."""
    global count
    count += 1
    out = onnx.helper.make_tensor(f"t{count}", TensorProto.INT8, [2], b"ab", raw=True)
    out.doc_string = "d"
    out.data_location = TensorProto.DEFAULT
    out.metadata_props.add(key="k", value="v")
    return out


def typed():
    """Tensors of all typed fields, and one with a segment."""
    T = TensorProto
    kinds = [T.FLOAT, T.INT32, T.INT64, T.DOUBLE, T.UINT64, T.STRING, T.FLOAT16, T.BOOL, T.COMPLEX64, T.UINT32]
    for kind in kinds:
        values = [b"a", b"b"] if kind == T.STRING else [1, 0]
        yield onnx.helper.make_tensor(f"typed{kind}", kind, [2], values)
    segment = onnx.helper.make_tensor("segment", T.FLOAT, [1], [1.0])
    segment.segment.begin, segment.segment.end = 0, 1
    yield segment


def attributes(node):
    """An attribute of each plain kind, and of each member of the type messages' oneofs."""
    for name, value in {"f": 1.5, "i": 3, "s": b"s", "fs": [1.5, 2.5], "is": [1, -1], "ss": [b"a", b"b"]}.items():
        node.attribute.append(onnx.helper.make_attribute(name, value))
    node.attribute.append(onnx.helper.make_attribute("t", tensor()))
    node.attribute.append(onnx.helper.make_attribute("sparse_only", sparse()))
    shape = onnx.helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", None, 3])
    types = [
        shape,
        onnx.helper.make_sequence_type_proto(shape),
        onnx.helper.make_optional_type_proto(shape),
        onnx.helper.make_map_type_proto(TensorProto.INT64, shape),
        onnx.helper.make_sparse_tensor_type_proto(TensorProto.FLOAT, [2]),
    ]
    opaque = onnx.TypeProto()
    opaque.opaque_type.domain, opaque.opaque_type.name, opaque.denotation = "d", "n", "e"
    for i, ty in enumerate([*types, opaque]):
        ty.denotation = "denotation"
        node.attribute.append(onnx.helper.make_attribute(f"tp{i}", ty))


def sparse():
    out = onnx.SparseTensorProto()
    fill(out, 0)
    return out


def main():
    model = ModelProto()
    fill(model, 2)
    model.ir_version = onnx.IR_VERSION
    graph = model.graph
    graph.node[0].attribute[0].name = "everything"
    attributes(graph.node.add(op_type="Plain"))
    graph.initializer.extend(typed())
    sharding = graph.node[0].device_configurations[0].sharding_spec[0].sharded_dim[0].simple_sharding.add()
    sharding.dim_param, sharding.num_shards = "n", 2
    path = Path(__file__).with_suffix(".onnx")
    path.write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
