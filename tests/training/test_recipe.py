"""The recipes: complete, checked, and built as their papers say."""
import argparse
import inspect
import json

import numpy as np
import pytest

from scratchnet import data, initialization, models, optim, training
from scratchnet.data import augment, crops
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential
from scratchnet.training import recipe_command, schedule
from scratchnet.training import recipe_format as form
from scratchnet.training.recipe import Recipe, recipe, recipes
from scratchnet.training.recipe_command import text


def tiny(channels=3):
    return Sequential(conv1=Conv2d(channels, 2, 3, rng=0), bn1=BatchNorm2d(2), relu1=ReLU(),
                      conv2=Conv2d(2, 2, 3, rng=0), flatten=Flatten(),
                      fc6=Linear(2 * 12 * 12, 3, rng=0))


def pictures(n=6, channels=3, side=19):
    return np.random.default_rng(0).random((n, channels, side, side), dtype=np.float32)


def build(name, images=None, model=None, **options):
    images = pictures() if images is None else images
    net = tiny(images.shape[1])
    return net, recipe(name, model).build(net, images, **{"size": 16, "rng": 0} | options)


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# ── the files ────────────────────────────────────────────────────────────────────────


def test_every_network_has_one_paper_recipe():
    named = [model for name in recipes() for model in recipe(name).models]
    assert sorted(named) == models.list_models()
    assert recipe("paper", "resnext_small").name == "resnet-cifar"
    assert recipe("paper", "vgg16").name == "vgg"


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_builds_what_can_be_trained(name):
    images = pictures()
    net, plan = build(name)
    before = net.state_dict()
    training.fit(net, (images, np.arange(6) % 3), (images, np.arange(6) % 3), plan.optimizer, 1,
                 3, plan.schedule, plan.train_transform, rng=0, progress=False, loss=plan.loss,
                 test_transform=plan.test_transform, clip=plan.clip, average=plan.average)
    assert any((value != before[key]).any() for key, value in net.state_dict().items())


def test_the_constants_are_those_of_the_classes():
    for table, where in ((form.OPTIMIZERS, optim), (form.SCHEDULES, schedule),
                         (form.INITIALIZATIONS, initialization)):
        for name, constants in table.items():
            known = inspect.signature(getattr(where, name)).parameters
            assert set(constants) - {"staged"} <= set(known), name
    for name, constants in form.TRANSFORMS.items():
        where = crops if name == "CentreCrop" else augment
        known = inspect.signature(getattr(where, name)).parameters
        if name != "Normalise":
            assert set(constants) <= set(known), name


def test_alexnet_as_its_paper():
    paper = recipe("alexnet")
    assert paper.optimizer == {"name": "SGD", "form": "paper", "lr": 0.01, "momentum": 0.9,
                               "weight_decay": 0.0005}
    assert (paper.batch_size, paper.epochs, paper.test_crops) == (128, 90, 10)
    assert paper.schedule == {"name": "Plateau", "patience": 5, "factor": 10, "drops": 3}
    assert [t["name"] for t in paper.train] == ["PCAColour", "Normalise", "RandomCrop",
                                                "RandomReflection"]
    assert paper.stored_side(227) == 256


def test_what_a_network_needs_takes_the_place():
    assert recipe("alexnet", "alexnet_small").initialization == {"name": "he"}
    assert recipe("alexnet", "alexnet_owt").stored_side(224) == 256
    v1, v2 = recipe("mobilenet", "mobilenet_v1"), recipe("mobilenet", "mobilenet_v2")
    assert v1.optimizer == v2.optimizer | {"momentum": 0.0}
    assert v1.schedule == {"name": "Exponential", "factor": 0.94, "every": 2}
    assert v2.exceptions == {}
    assert recipe("resnet-cifar", "cifar_resnet20").schedule["name"] == "Steps"
    assert recipe("resnet-cifar", "cifar_resnet110").schedule["name"] == "WarmUp"


def test_a_recipe_survives_json():
    for name in recipes():
        found = recipe(name)
        assert Recipe.from_dict(json.loads(json.dumps(found.to_dict()))) == found


# ── what build makes of them ─────────────────────────────────────────────────────────


def test_the_biases_of_alexnet_where_there_are_such_layers():
    net, plan = build("alexnet")
    assert net["conv2"].bias.value.tolist() == [1, 1]
    assert net["fc6"].bias.value.tolist() == [1, 1, 1]
    assert net["conv1"].bias.value.tolist() == [0, 0]
    assert 0.008 < net["fc6"].weight.value.std() < 0.012
    assert any("no layers conv4, conv5, fc7" in note for note in plan.notes)


def test_weights_stay_without_initialisation():
    net, _ = build("alexnet", initialise=False)
    same(net.state_dict(), tiny().state_dict())


def test_same_seed_same_weights():
    same(build("quick", rng=3)[0].state_dict(), build("quick", rng=3)[0].state_dict())
    assert (build("quick", rng=3)[0]["fc6"].weight.value !=
            build("quick", rng=4)[0]["fc6"].weight.value).any()


def test_a_donor_hands_over_layers_where_the_recipe_is_staged():
    donor = initialization.gaussian(tiny(), 1.0, rng=7)
    net, _ = build("vgg", donor=donor)
    np.testing.assert_array_equal(net["conv1"].weight.value, donor["conv1"].weight.value)
    with pytest.raises(ValueError, match="only where the recipe says staged = true"):
        build("alexnet", donor=donor)
    with pytest.raises(ValueError, match="not with initialise=False"):
        build("vgg", donor=donor, initialise=False)


def test_rates_and_decay_by_group():
    _, plan = build("quick", lr_scale={"conv1": 0.1})
    scales = {(g.lr_scale, g.decay_scale) for g in plan.optimizer.groups}
    assert scales == {(0.1, 1), (0.1, 0), (1, 1), (1, 0)}
    assert {g.decay_scale for g in build("alexnet")[1].optimizer.groups} == {1}


def test_the_schedule_stretches_with_the_epochs():
    """DenseNet: 90 epochs with drops at 30 and 60; of 9 epochs, at 3 and 6."""
    _, plan = build("densenet", epochs=9)
    factors = [plan.schedule.factor(step, 10) for step in (0, 29, 30, 59, 60, 89)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert any("9 epochs in place of 90" in note for note in plan.notes)
    _, plan = build("densenet")
    assert [plan.schedule.factor(10 * e, 10) for e in (29, 30)] == pytest.approx([1, 0.1])


def test_steps_stretch_with_the_steps_there_are():
    """64,000 steps with drops at 32,000 and 48,000; 8 epochs of 2 batches: at 8 and 12."""
    _, plan = build("resnet-cifar", epochs=8, batch_size=3)
    factors = [plan.schedule.factor(step, 2) for step in (7, 8, 11, 12)]
    assert factors == pytest.approx([1, 0.1, 0.1, 0.01])


def test_steps_stay_where_they_fit():
    """182 epochs of ⌈45,000/128⌉ = 352 batches are 64,064 steps, the paper's 64,000."""
    class Pictures:
        shape, dtype = (45_000, 3, 19, 19), np.dtype(np.float32)

        def __len__(self):
            return 45_000

        def __getitem__(self, rows):
            return pictures(len(np.arange(45_000)[rows]))

    _, plan = build("resnet-cifar", Pictures(), model="cifar_resnet110")
    factors = [plan.schedule.factor(s, 352) for s in (0, 399, 400, 31_999, 32_000, 48_000)]
    assert factors == pytest.approx([0.1, 0.1, 1, 1, 0.1, 0.01])
    assert not any("schedule" in note for note in plan.notes)


def test_plateau_and_warm_up_stretch():
    _, plan = build("alexnet", epochs=18)
    assert (plan.schedule.patience, plan.schedule.drops) == (1, 3)
    _, plan = build("quick", epochs=10)                 # the first of 20 becomes half a one
    assert plan.schedule.factor(0, 100) == pytest.approx(0.1)
    assert plan.schedule.factor(50, 100) == pytest.approx(0.5 * (1 + np.cos(np.pi / 20)))
    assert plan.schedule.factor(999, 100) < 1e-4


def test_another_rate_or_batch_is_said_and_changes_nothing_else():
    _, plan = build("alexnet", lr=0.002, batch_size=32)
    assert (plan.optimizer.lr, plan.batch_size, plan.epochs) == (0.002, 32, 90)
    assert "learning rate 0.002 in place of 0.01" in plan.notes
    assert any("batches of 32 in place of 128; the learning rate stays" in n for n in plan.notes)
    assert build("alexnet", model="alexnet")[1].notes[1:] == build("alexnet", lr=0.01)[1].notes[1:]


def test_grey_images_have_no_colours_to_vary():
    _, plan = build("googlenet", pictures(channels=1))
    assert any(note.startswith("without ColourJitter") for note in plan.notes)
    assert "ColourJitter" not in repr(plan.train_transform)
    assert "ColourJitter" in repr(build("googlenet")[1].train_transform)


def test_digits_are_never_mirrored():
    _, plan = build("alexnet", mirror=False)
    assert "RandomReflection" not in repr(plan.train_transform)
    assert sum("mirrored" in note for note in plan.notes) == 1


def test_images_without_a_border_are_padded():
    images = pictures(side=16)
    _, plan = build("alexnet", images)
    crop = next(t for t in plan.train_transform.transforms
                if isinstance(t, augment.RandomCrop))
    assert (crop.size, crop.padding) == (16, 2)
    assert plan.train_transform(images, np.random.default_rng(0)).shape == images.shape


def test_pixels_grow_with_the_network():
    """Four pixels of padding at 32 are two at 16; a side of 256 to 480 at 224, 18 to 34 at 16."""
    crop, = (t for t in build("resnet-cifar", pictures(side=16))[1].train_transform.transforms
             if isinstance(t, augment.RandomCrop))
    assert crop.padding == 2
    jitter, = (t for t in build("resnet")[1].train_transform.transforms
               if isinstance(t, augment.ScaleJitter))
    assert (jitter.size, jitter.smallest, jitter.largest) == (16, 18, 34)


def test_what_is_measured_makes_the_test_again():
    images = pictures()
    _, plan = build("alexnet", images)
    np.testing.assert_allclose(plan.statistics["mean"], images.mean(axis=0), rtol=1e-5)
    assert set(plan.statistics) == {"mean", "eigenvalues", "eigenvectors"}
    again = recipe("alexnet").test_transform(16, plan.statistics)
    x = again(images, None)
    np.testing.assert_array_equal(x, plan.test_transform(images, None))
    expected = 255 * (images - images.mean(axis=0))[:, :, 1:17, 1:17]       # white is 255
    np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-3)
    whole = recipe("alexnet").test_transform(16, plan.statistics, test_crops=10)(images, None)
    assert whole.shape == images.shape
    with pytest.raises(ValueError, match="Normalise needs the statistics.*mean missing"):
        recipe("alexnet").test_transform(16, {})


def test_standardised_where_the_recipe_says_so():
    images = 0.3 * pictures(64, side=16) + 0.5
    x = build("densenet-cifar", images)[1].test_transform(images, None)
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=(0, 2, 3)), 1, atol=1e-3)


def test_bytes_that_are_read_when_asked_for_give_the_same():
    images = (pictures() * 255).astype(np.uint8)

    class Reader:
        shape, dtype = images.shape, images.dtype

        def __len__(self):
            return len(images)

        def __getitem__(self, rows):
            assert isinstance(rows, np.ndarray)
            return images[rows]

    a = build("alexnet", Reader())[1].statistics
    b = build("alexnet", (images / np.float32(255)))[1].statistics
    for name, value in b.items():
        np.testing.assert_allclose(abs(a[name]), abs(value), rtol=1e-4, atol=1e-6)


def test_the_average_is_of_the_initialised_weights():
    net, plan = build("googlenet")
    assert plan.average.decay == 0.9999
    assert plan.average.warm_up                 # or a short run would average in its beginning
    with plan.average.in_place():
        inside = net.state_dict()
    same(inside, net.state_dict())
    assert build("alexnet")[1].average is None


def test_the_loss_and_the_clipping_are_the_recipes():
    _, plan = build("inception")
    assert (plan.loss.label_smoothing, plan.auxiliary, plan.clip) == (0.1, 0.4, 2.0)
    _, plan = build("alexnet")
    assert (plan.loss.label_smoothing, plan.auxiliary, plan.clip) == (0, 0.3, None)


def test_quick_reads_digits():
    digits = data.load_digits(32)
    net = models.lenet5(rng=0)
    plan = recipe("quick", "lenet5").build(net, digits.train.images, size=32, epochs=4,
                                           mirror=False, rng=0)
    history = training.fit(net, digits.train, digits.validation, plan.optimizer, plan.epochs,
                           plan.batch_size, plan.schedule, plan.train_transform, rng=0,
                           progress=False, loss=plan.loss, test_transform=plan.test_transform)
    assert history[-1].validation_error < 0.2


@pytest.mark.parametrize("options, message", [
    ({"size": 20}, r"looks at 20×20 pixels, the images have 19×19: load them with a side of 23"),
    ({"epochs": 0}, "epochs must be a whole number, 1 or more; got 0"),
    ({"batch_size": 2.5}, "batch_size must be a whole number"),
    ({"images": np.zeros((4, 3, 19, 20), np.float32)}, r"expects images \(N, C, side, side\)"),
    ({"lr": -1.0}, "lr > 0"),
])
def test_what_build_cannot_do(options, message):
    with pytest.raises(ValueError, match=message):
        build("alexnet", **options)


# ── what may not stand in a file ─────────────────────────────────────────────────────


GOOD = """
title = "Mine"
source = "me"
models = []
epochs = 3
batch_size = 4
stored = [36, 32]
notes = ["remark: short"]
[optimizer]
name = "SGD"
lr = 0.1
[schedule]
name = "Cosine"
[initialization]
name = "he"
[[train]]
name = "RandomCrop"
[[test]]
name = "CentreCrop"
"""


def test_your_own_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(GOOD, encoding="utf-8")
    assert (recipe(str(file)).name, recipe(str(file)).epochs) == ("mine", 3)


@pytest.mark.parametrize("old, new, message", [
    ("epochs = 3", "epochs = 3.5", "mine.toml: epochs must be a whole number, 1 or more; got 3.5"),
    ("epochs = 3", "epoch = 3", "unknown key 'epoch'; a recipe takes title, .*epochs"),
    ("epochs = 3", "", "epochs missing"),
    ("stored = [36, 32]", "stored = [32, 36]", "the larger first"),
    ("models = []", 'models = ["resnet51"]', "no model 'resnet51': did you mean 'resnet5"),
    ('"SGD"', '"Sgd"', "optimizer: name must be one of SGD, Adam, RMSProp; got 'Sgd'"),
    ("lr = 0.1", "lr = '0.1'", "optimizer: lr must be a number; got '0.1'"),
    ("lr = 0.1", "lr = true", "lr must be a number; got True"),
    ("lr = 0.1", "lr = 0.1\nmoment = 0.9", "unknown key 'moment'; SGD takes lr, momentum"),
    ("lr = 0.1", "", "optimizer.lr missing"),
    ('"Cosine"', '"Steps"\nat = [10]\nunit = "steps"', "then the recipe needs `steps`"),
    ('"Cosine"', '"Steps"\nat = [10]\nunit = "weeks"', "unit must be 'epochs' or 'steps'"),
    ('"Cosine"', '"WarmUp"\nthen = { name = "Cosine" }', "either steps or epochs"),
    ('"Cosine"', '"WarmUp"\nepochs = 1\nthen = { name = "Sine" }', r"schedule.then: name must be"),
    ('"he"', '"she"', "initialization: name must be one of gaussian, he"),
    ('"RandomCrop"', '"Crop"', "train, number 1: name must be one of CentreCrop"),
    ('"CentreCrop"', '"RandomCrop"', "in a test only CentreCrop and Normalise"),
    ('"CentreCrop"', '"Normalise"', "train and test need the same Normalise"),
    ('name = "RandomCrop"', 'name = "RandomReflection"', "train: nothing makes the images as"),
    ("remark: short", "short", "notes, number 1 must begin with departure, not given"),
    ("remark: short", "remark (speed): short", "notes, number 1 must begin with"),
    ("[optimizer]", "[for.resnet18]\nclip = 'x'\n[optimizer]",
     "mine.toml, for.resnet18: clip must be a number"),
    ("[optimizer]", "[for.resnet81]\nclip = 1\n[optimizer]", "no model 'resnet81'"),
    ("[optimizer]", "[optimizer", "is no TOML file"),
])
def test_a_wrong_file_is_told_where(tmp_path, old, new, message):
    assert old in GOOD
    file = tmp_path / "mine.toml"
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        recipe(str(file))
    assert "mine.toml" in str(error.value)


def test_the_mean_of_each_pixel_comes_before_the_crop():
    table = recipe("alexnet").to_dict()
    table["train"].reverse()
    with pytest.raises(ValueError, match="Normalise per pixel must stand before RandomCrop"):
        Recipe.from_dict(table, "mine")


@pytest.mark.parametrize("arguments, message", [
    (("fast",), "unknown recipe 'fast'; there are: alexnet, .*'paper'"),
    (("paper",), "say which"),
    (("quick", "resnet51"), "unknown model 'resnet51': did you mean 'resnet"),
    (("nowhere/mine.toml",), "cannot read nowhere/mine.toml"),
])
def test_an_unknown_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        recipe(*arguments)


# ── to read ──────────────────────────────────────────────────────────────────────────


def test_what_is_not_the_papers_is_marked():
    lines = text(recipe("googlenet")).splitlines()
    starts = {line.split()[0]: line for line in lines if line.startswith("  ") and line.strip()}
    assert starts["schedule"].endswith("Exponential(factor=0.96, every=8)")     # the paper's
    assert starts["batch_size"].endswith("32   [not given]")
    assert all(len(line) <= 96 for name in recipes() for line in text(recipe(name)).splitlines())
    for note in recipe("googlenet").notes:
        assert note.split()[-1] in text(recipe("googlenet"))


def command(*arguments):
    parser = argparse.ArgumentParser()
    recipe_command.add_command(parser.add_subparsers())
    options = parser.parse_args(["recipe", *arguments])
    return options.run(options)


def test_the_command_lists_and_prints(capsys):
    assert command() == 0
    listed = capsys.readouterr().out
    assert all(f"{name} " in listed and recipe(name).title in listed for name in recipes())
    assert command("paper", "--model", "resnet18") == 0
    assert capsys.readouterr().out == text(recipe("resnet", "resnet18")) + "\n"
    assert command("nothing") == 2
    assert capsys.readouterr().err.startswith("scratchnet: unknown recipe 'nothing'")
