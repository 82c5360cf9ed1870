"""The README's Python runs as printed, top to bottom, and says what it says there."""
import json
import re
from pathlib import Path

import pytest

from scratchnet import cli, models
from scratchnet_pytest import check_or_fail

README = Path(__file__).parents[1] / "README.md"


def blocks(language):
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_python_runs_top_to_bottom(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)                         # it saves a file
    python = [block for block in blocks("python") if not block.startswith("class ReLU")]
    assert len(python) == 6                             # one is a test, and runs as one below
    namespace = {"__name__": "readme"}
    for block in python:
        exec(compile(block, "README.md", "exec"), namespace)
    out = capsys.readouterr().out
    assert "(2, 3, 7, 9) (8, 3, 3, 3) (8,)" in out
    assert "Conv2d(3→8, kernel 3, stride 1, padding 1): correct" in out
    assert "Square: wrong" in out
    assert ("  Cause (exact): dx is the true gradient times 1/2: a factor 2 is missing\n"
            "    Evidence: times 0.5, with 1/2 = 0.5; in 2 settings") in out
    with pytest.raises(pytest.fail.Exception, match="Square: wrong(.|\n)*a factor 2 is missing"):
        namespace["test_my_layer"](check_or_fail)
    assert float(re.search(r"validation error ([\d.]+)%", out)[1]) < 20
    assert "60,965,224" in out and "724,406,816" in out
    assert "lenet5: all 13 layers agree in shape, parameters and MACs" in out
    assert (tmp_path / "small.npz").exists()


def test_the_table_of_families_lists_every_network():
    text = README.read_text(encoding="utf-8")
    listed = set(re.findall(r"`(\w+)`", text))
    short = {f"cifar_resnet{n}" for n in (32, 44, 56, 110)} | {"cifar_plain56"}   # by number only
    bn = {f"vgg{n}_bn" for n in (11, 13, 16, 19)}                                   # "each also"
    assert set(models.list_models()) - short - bn <= listed
    count = len([name for name in models.list_models() if not name.endswith("_small")])
    assert count == 47 and "Forty-seven published networks" in text


def test_the_speeds_are_those_that_were_measured():
    text = README.read_text(encoding="utf-8")
    path = README.parent / "benchmarks" / "results" / "versus.json"
    networks = json.loads(path.read_text(encoding="utf-8"))["networks"]
    table = text[text.index("| | batch | training step | inference |"):]
    order = ("alexnet", "alexnet_owt", "vgg16", "googlenet_bn", "resnet18", "resnet50",
             "densenet121", "mobilenet_v2", "cifar_resnet20")
    rows = table[:table.index("\n\n")].splitlines()[2:]
    for name, row in zip(order, rows, strict=True):
        first = {"googlenet_bn": "googlenet", "cifar_resnet20": "resnet20"}.get(name, name)
        assert first[:6] in row.lower().replace("-", "")
        assert row.endswith(f" | {networks[name]['batch']} | "
                            f"{networks[name]['training']['ratio']:.2f} | "
                            f"{networks[name]['inference']['ratio']:.2f} |")
    assert set(order) == set(networks)
    memory = [row["memory"]["ours"] / row["memory"]["torch"] for row in networks.values()]
    assert f"memory is {min(memory):.2f} to {max(memory):.2f} times PyTorch's" in text


def test_the_page_about_speed_has_the_tables_that_were_measured(monkeypatch):
    monkeypatch.syspath_prepend(str(README.parent / "benchmarks"))
    import missed
    versus, where = (json.loads((missed.RESULTS / name).read_text(encoding="utf-8"))
                     for name in ("versus.json", "missed.json"))
    page = missed.PAGE.read_text(encoding="utf-8")
    assert missed.with_tables(page, versus["networks"], where) == page
    assert "| `vgg16` | 8 |" in page and "| `vgg16` | 8 |" not in missed.with_tables(
        page, {}, where)


def test_the_commands_it_shows_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    commands = [line.split("#")[0].split()[1:] for block in blocks("sh")
                for line in block.splitlines() if line.startswith("scratchnet ")]
    assert [command[0] for command in commands] == [
        "check", "check", *6 * ["exercise"], "lesson", "train", "evaluate", "predict", "recipe",
        *6 * ["look"], "explore", "export", "verify", "verify", "summary", "compare",
        "profile"]
    # The others: exercises/test_commands.py, training/test_command.py, test_golden.py
    for command in (commands[12], commands[13], *commands[-4:]):
        assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "googlenet: all 146 layers agree" in out and "layer4" in out and "vgg16" in out


def test_the_relu_it_shows_is_the_one_we_have():
    shown, = (block for block in blocks("python") if block.startswith("class ReLU"))
    source = (README.parent / "scratchnet" / "layers" / "relu.py").read_text(encoding="utf-8")
    plain = re.sub(r": Any| -> Any", "", source)
    assert shown.strip() in plain


@pytest.mark.parametrize("command", [
    'python -m pip install -e . && scratchnet lesson alexnet',
    'python -m pip install -e ".[test]" && python -m pytest',
])
def test_ci_runs_the_two_commands(command):
    assert any(command in block for block in blocks("sh"))
    ci = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert command.replace("install", "install --quiet") in ci
