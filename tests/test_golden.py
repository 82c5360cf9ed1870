"""verify: every network against its golden table, and what it says where one differs."""
from dataclasses import replace

import pytest

from scratchnet import cli, golden, models, verify
from scratchnet.golden.notes import NOTES
from scratchnet.layers import BatchNorm2d, Conv2d


@pytest.mark.parametrize("name", golden.list_golden())
def test_network_equals_its_table_in_every_layer_and_total(name):
    result = verify(name)
    assert result.ok, str(result)
    table = result.golden
    assert len(result.pairs) == len(table.lines) > 10
    # The totals of the head of the table are those of its lines.
    heads = [line for line in table.lines if line.name.split(".")[0] in table.head_inputs]
    assert sum(line.params for line in table.lines) == table.params + table.heads
    assert sum(line.params for line in heads) == table.heads
    assert sum(line.macs for line in table.lines) - sum(line.macs for line in heads) == table.macs


@pytest.mark.parametrize("name, params, macs", [
    ("alexnet", 60_965_224, 724_406_816), ("vgg16", 138_357_544, 15_470_264_320),
    ("googlenet", 6_998_552, 1_582_671_872), ("resnet50", 25_557_032, 4_089_184_256),
    ("densenet121", 7_978_856, 2_834_161_664), ("efficientnet_b0", 5_288_548, 385_814_752)])
def test_tables_have_the_published_totals(name, params, macs):
    table = golden.load_golden(name)
    assert (table.params, table.macs) == (params, macs)


def changed(name, change):
    """The comparison for a network in which something has been changed."""
    net = models.get_model(name, rng=0)
    change(net)
    return golden.verify_network(name, golden.load_golden(name), net)


def test_a_difference_is_named_layer_by_layer():
    def narrower(net):
        net.C1 = Conv2d(1, 6, 5, bias=False)
    result = changed("lenet5", narrower)
    assert not result.ok
    assert result.problems == [
        "≠ C1: the table has conv 6x28x28, 156 parameters, 117,600 MACs; the network has conv "
        "6x28x28, 150 parameters, 117,600 MACs",
        "≠ total parameters: expected 60,000, got 59,994"]
    assert "156" not in str(result).splitlines()[1] and "≠" in str(result).splitlines()[1]
    assert str(result).endswith("lenet5: 2 differences")


def test_a_missing_and_an_extra_layer_are_named():
    def renamed(net):
        block = net.layer1[0]
        block.bn9 = block.bn1
        del block.bn1
        block._names[block._names.index("bn1")] = "bn9"
    problems = "\n".join(changed("cifar_resnet20", renamed).problems)
    assert "≠ layer1.0.bn1: the table has batch_norm 16x32x32" in problems
    assert "the network has no such layer" in problems
    assert "≠ layer1.0.bn9: the table has no such layer; the network has batch_norm" in problems


def test_a_change_in_an_auxiliary_head_is_seen():
    def other(net):
        net.aux2.conv.bn = BatchNorm2d(128)         # googlenet has none: one layer too many
        net.aux2.conv._names.insert(1, "bn")
    result = changed("googlenet", other)
    assert [p for p in result.problems if "aux2.conv.bn" in p]
    assert any("parameters in heads" in p for p in result.problems)


def test_notes_are_about_networks_that_exist_and_are_printed():
    assert set(NOTES) <= set(golden.list_golden())
    text = str(verify("googlenet"))
    assert "table 1) disagrees with its own channel columns" in text
    assert "auxiliary heads, in training only and not in the total: 6,379,728 parameters" in text
    assert "253,440" in " ".join(NOTES["alexnet"])


def test_command_prints_one_network_in_full(capsys):
    assert cli.main(["verify", "lenet5"]) == 0
    out = capsys.readouterr().out
    assert "C3     conv         16×10×10       1,516  150,000" in out
    assert out.endswith("lenet5: all 13 layers agree in shape, parameters and MACs\n")


def test_command_prints_a_line_each_and_fails_if_one_differs(capsys, monkeypatch):
    monkeypatch.setattr(golden, "list_golden", lambda: ["cifar_resnet20", "lenet5"])
    assert cli.main(["verify"]) == 0
    out = capsys.readouterr().out
    assert "lenet5                       13        60,000          326,520  as published" in out

    load = golden.load_golden
    monkeypatch.setattr(golden, "load_golden", lambda name: replace(load(name), macs=1))
    assert cli.main(["verify"]) == 1
    captured = capsys.readouterr()
    assert "1 DIFFERENCES" in captured.out
    assert "different from their tables: cifar_resnet20, lenet5" in captured.err
    assert cli.main(["verify", "lenet5"]) == 1


@pytest.mark.parametrize("name, message", [
    ("resnet5", "no table for 'resnet5': did you mean 'resnet50'?"),
    ("vgg_small", "vgg_small is scratchnet's own: nothing is published to compare it with"),
])
def test_a_name_without_a_table_is_an_error(name, message, capsys):
    with pytest.raises(ValueError) as error:
        verify(name)
    assert message in str(error.value)
    assert cli.main(["verify", name]) == 2
    assert message in capsys.readouterr().err
