"""The student's layers in a network: checked, put in place, and what stays as it is."""
import re

import numpy as np
import pytest
from cases import solution

from scratchnet import Layer, cli, layers, lesson, optim, training
from scratchnet.exercises import limit
from scratchnet.exercises.own_layers import NoPlace, OwnLayers, Refused

BEGIN = "import numpy as np\nfrom scratchnet import Layer, Parameter\n"
IMAGES = np.random.default_rng(1).standard_normal((4, 2, 9, 8), dtype=np.float32)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(limit, "SECONDS", 0)


@pytest.fixture
def file(tmp_path):
    """Write a student's file."""
    def write(source, name="mine.py"):
        path = tmp_path / name
        path.write_text(BEGIN + source, encoding="utf-8")
        return path
    return write


def network():
    return layers.Sequential(
        conv1=layers.Conv2d(2, 4, 3, padding=1, rng=0), norm1=layers.BatchNorm2d(4),
        relu1=layers.ReLU(), pool1=layers.MaxPool2d(3, stride=2),
        body=layers.Residual(layers.Conv2d(4, 4, 3, padding=1, groups=2, rng=1), layers.ReLU()),
        flatten=layers.Flatten(), fc=layers.Linear(4 * 4 * 3, 5, rng=2),
        drop=layers.Dropout(0.5, rng=3))


def step(net):
    """The results of a training step: everything that a layer could spoil."""
    y = net.train().forward(IMAGES)
    net.zero_grad()
    dx = net.backward(np.random.default_rng(2).standard_normal(y.shape, dtype=np.float32))
    return [y, dx, *(p.grad for p in net.parameters()), *net.state_dict().values()]


def test_a_network_with_the_students_layers_computes_the_same(capsys):
    names = ["relu", "linear", "conv2d", "overlapping_pool", "batchnorm"]
    net = network()
    OwnLayers(map(solution, names)).replace(net, IMAGES)
    own = [name for name, layer in net.named_layers() if "solution" in type(layer).__module__]
    assert own == ["conv1", "norm1", "relu1", "pool1", "body.1", "fc"]
    for got, right in zip(step(net), step(network()), strict=True):
        assert got.dtype == right.dtype
        np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-5)
    out = capsys.readouterr().out
    assert "2 ReLU" in out and "1 Conv2d" in out
    assert "the library's stays in body.0: your Conv2d has no argument groups, and here " \
           "groups is 2" in out


def test_dropout_goes_on_with_the_generator_of_the_library(file, capsys):
    net = layers.Sequential(drop=layers.Dropout(0.25, rng=3)).eval()
    generator = net["drop"].rng
    OwnLayers([solution("dropout")]).replace(net, IMAGES)
    assert net["drop"].rng is generator and net["drop"].p == 0.25 and not net["drop"].training
    assert generator.random() == np.random.default_rng(3).random()      # measuring drew nothing
    assert "1 Dropout" in capsys.readouterr().out


def test_layers_in_lists_and_dicts_are_replaced_and_the_rest_stays():
    class Two(Layer):
        def __init__(self):
            self.steps = [layers.ReLU(), {"last": layers.Tanh()}]

        def forward(self, x):
            return self.steps[1]["last"](self.steps[0](x))

        def backward(self, dy):
            return self.steps[0].backward(self.steps[1]["last"].backward(dy))

    net = Two()
    tanh = net.steps[1]["last"]
    OwnLayers([solution("relu")]).replace(net, IMAGES)
    assert "solution" in type(net.steps[0]).__module__ and net.steps[1]["last"] is tanh


def test_a_wrong_layer_is_refused_with_its_report(file):
    relu = solution("relu").read_text(encoding="utf-8")
    with pytest.raises(Refused, match=r"(?s)mine.py cannot be used yet.*relu: failed.*mask"):
        OwnLayers([file(relu.replace("dy * positive", "dy * 1"))])
    with pytest.raises(Refused, match="mine.py, line 3: SyntaxError"):
        OwnLayers([file("def f(:")])


def test_a_layer_that_is_right_elsewhere_but_not_here_is_refused():
    own = OwnLayers([solution("max_pool")])         # for windows side by side; these overlap
    with pytest.raises(Refused, match=r"(?s)is wrong as pool1.*gradient of x\[.*[Cc]ause"):
        own.replace(network(), IMAGES)


def test_a_layer_that_no_exercise_asks_for_is_checked_in_the_network(file):
    flatten = """class Flatten(Layer):
    def forward(self, x):
        y = x.reshape(len(x), -1)
        self.remember(x.shape, y=y)
        return y
    def backward(self, dy):
        shape, = self.recall(dy)
        return dy.reshape(shape)
"""
    net = network()
    OwnLayers([file(flatten)]).replace(net, IMAGES)
    assert "solution" in type(net["flatten"]).__module__
    own = OwnLayers([file(flatten.replace("dy.reshape(shape)", "-dy.reshape(shape)"))])
    with pytest.raises(Refused, match=r"(?s)Flatten is wrong as flatten.*negative"):
        own.replace(network(), IMAGES)
    own = OwnLayers([file(flatten.replace("shape, = ", "shape, more = "))])
    with pytest.raises(Refused, match=r"does not run as flatten(?s:.*)mine.py, line 9: ValueError"):
        own.replace(network(), IMAGES)


def test_files_without_a_layer_of_the_library_or_with_one_twice(file):
    with pytest.raises(ValueError, match="mine.py has no class named like a .*; it has Relu"):
        OwnLayers([file("from scratchnet.layers import ReLU\nclass Relu(ReLU):\n    pass\n")])
    with pytest.raises(ValueError, match="relu.py: another file has a ReLU, too"):
        OwnLayers([solution("relu"), solution("relu")])


def test_what_the_network_has_not_is_said(capsys):
    OwnLayers([solution("sigmoid_tanh"), solution("relu")]).replace(network(), IMAGES)
    out = capsys.readouterr().out
    assert "in this network: 2 ReLU" in out
    assert "there is no Sigmoid in this network" in out and "there is no Tanh" in out


def test_a_network_without_a_place_for_any_is_not_trained():
    with pytest.raises(NoPlace, match=r"none of your layers \(Sigmoid, Tanh\) has a place in this "
                                      r"network.*made of BatchNorm2d, Conv2d, Dropout"):
        OwnLayers([solution("sigmoid_tanh")]).replace(network(), IMAGES)


def test_an_endless_loop_is_ended(file):
    relu = solution("relu").read_text(encoding="utf-8")
    loop = file(relu.replace("        y = np", "        while True: pass\n        y = np"))
    with pytest.raises(Refused, match=r"(?s)cannot be used yet.*line 1\d: still here after 1 s"):
        OwnLayers([loop], seconds=1)


def test_the_loss_of_training_may_be_the_students(capsys):
    own = OwnLayers([solution("softmax")])
    own.replace(network(), IMAGES)
    assert "solution" in type(own.loss()).__module__
    assert "1 SoftmaxCrossEntropy" in capsys.readouterr().out
    assert OwnLayers([solution("relu")]).loss() is None


def test_fit_trains_with_the_loss_that_it_is_given():
    class Nothing(layers.SoftmaxCrossEntropy):
        def backward(self, dy=1.0):
            return 0 * super().backward(dy)

    part = IMAGES, np.array([0, 1, 2, 3])
    moved = []
    for loss in (None, layers.SoftmaxCrossEntropy(), Nothing()):
        net = network()
        sgd = optim.SGD(net.parameters(), lr=0.1, momentum=0.0, weight_decay=0.0)
        training.fit(net, part, part, sgd, epochs=1, rng=0, progress=False, loss=loss)
        moved.append(abs(net["fc"].weight.value - network()["fc"].weight.value).max())
    assert moved[0] == moved[1] > 0 == moved[2]


def test_a_much_slower_step_is_a_warning(file, capsys):
    relu = solution("relu").read_text(encoding="utf-8")
    slow = relu.replace("        y = np", "        import time; time.sleep(0.02)\n        y = np")
    OwnLayers([file(slow)]).replace(layers.Sequential(relu=layers.ReLU()), IMAGES)
    assert re.search(r"A step takes 0\.02\d* seconds instead of .*, \d+ times as long",
                     capsys.readouterr().out)


LESSON = """# %% [markdown]
# # A lesson

# %%
import numpy as np
from scratchnet import layers
from scratchnet.lesson import Lesson
lesson = Lesson("sample")
net = layers.Sequential(relu=layers.ReLU())
lesson.replace(net, np.ones((2, 3), dtype=np.float32))
print(lesson.device, type(net["relu"]).__module__)
print("loss", lesson.loss)
"""


def test_a_lesson_trains_with_the_files_it_is_given(tmp_path, monkeypatch, capsys):
    (tmp_path / "01_sample.py").write_text(LESSON)
    monkeypatch.setattr(lesson.files, "lessons", lambda: {"sample": tmp_path / "01_sample.py"})
    monkeypatch.chdir(tmp_path)
    assert cli.main(["lesson", "sample", "--device", "cpu"]) == 0
    assert "cpu scratchnet.layers.relu" in capsys.readouterr().out
    assert cli.main(["lesson", "sample", "--with", str(solution("relu"))]) == 0
    out = capsys.readouterr().out
    assert "1 ReLU" in out and "cpu _scratchnet_solution_relu" in out
    assert "loss None" in out
    with pytest.raises(SystemExit) as stop:
        cli.main(["lesson", "sample", "--with", str(solution("sigmoid_tanh"))])
    assert stop.value.code == 2
    assert "none of your layers (Sigmoid, Tanh) has a place" in capsys.readouterr().err
    assert cli.main(["lesson", "sample", "--with", str(solution("softmax"))]) == 0
    assert "loss SoftmaxCrossEntropy()" in capsys.readouterr().out


def test_a_lesson_refuses_a_wrong_layer_before_it_begins(file, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = solution("relu").read_text(encoding="utf-8").replace("dy * positive", "-dy * positive")
    for path, status, said in ((file(source), 1, "negative"),
                               (file("x = 1\n", "other.py"), 2, "no class")):
        with pytest.raises(SystemExit) as stop:
            cli.main(["lesson", "alexnet", "--with", str(path)])
        printed = capsys.readouterr()
        assert stop.value.code == status and said in printed.out + printed.err
        assert "parameters: 60" not in printed.out


def test_the_lessons_that_train_take_the_students_layers():
    source = lesson.find("alexnet").read_text(encoding="utf-8")
    fit = source.index("history = training.fit(net, ")
    assert source.index("lesson.replace(net, ") < fit
    assert "loss=lesson.loss)" in source[fit:source.index("\n\n", fit)]
