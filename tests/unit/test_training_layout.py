"""The network as data, which torch and Keras are both built from."""

from __future__ import annotations

from device.models.training.layout import IMAGE, STRIDES, layout, outputs


def test_every_node_comes_after_what_it_reads_and_has_a_name_of_its_own() -> None:
    seen = {IMAGE}
    for node in layout(5, 64):
        assert node.name not in seen
        assert set(node.inputs) <= seen
        seen.add(node.name)


def test_what_is_added_has_the_same_width_and_stride() -> None:
    width, stride = {IMAGE: 3}, {IMAGE: 1.0}
    for node in layout(5, 64):
        strides = {stride[name] for name in node.inputs}
        assert len(strides) == 1
        stride[node.name] = strides.pop() * node.stride / (2 if node.op == "up" else 1)
        width[node.name] = node.channels
        if node.op in ("add", "up", "depthwise"):
            assert {width[name] for name in node.inputs} == {node.channels}
    for size in STRIDES:
        assert stride[f"score{size}"] == stride[f"box{size}"] == size


def test_the_outputs_are_a_score_and_a_box_for_each_stride() -> None:
    nodes = {node.name: node for node in layout(5, 64)}
    assert outputs() == ("score8", "box8", "score16", "box16", "score32", "box32")
    assert [nodes[name].channels for name in outputs()] == [5, 4] * 3
    assert all(nodes[name].plain for name in outputs())
