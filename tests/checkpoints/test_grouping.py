"""Names of checkpoints, as people and libraries write them, and the steps and groups that are right."""

import re

import pytest

from tandv.checkpoints.grouping import grouped, steps_of


def groups_of(text, pattern=None):
    """Return the steps of each group of names by the group's name, and the names that are without a step."""
    names = text.split()
    groups, without = grouped(names, re.compile(pattern) if pattern else None)
    return {one.name: one.steps for one in groups}, [names[i] for i in without]


@pytest.mark.parametrize(
    ("names", "group", "steps"),
    [
        # suffixes, exponents, thousands
        ("500 1k 2k 10k", "*", [500, 1000, 2000, 10_000]),
        ("model-500.pt model-1k.pt model-2k.pt", "model-*", [500, 1000, 2000]),
        ("model_1.5k.pt model_2K.pt model_2M.pt", "model_*", [1500, 2000, 2_000_000]),
        ("ckpt_0.5k.pt ckpt_1k.pt", "ckpt_*", [500, 1000]),
        ("step_1e3.pt step_5e4.pt step_500.pt", "step_*", [1000, 50_000, 500]),
        ("1e3.pt 5e4.pt", "*", [1000, 50_000]),
        ("step_500 step_1_000 step_10_000", "step_*", [500, 1000, 10_000]),
        ("step_1_000 step_1_000_000", "step_*", [1000, 1_000_000]),
        ("500 1_000 10_000", "*", [500, 1000, 10_000]),
        ("step-900.pt step-1,000.pt", "step-*", [900, 1000]),
        ("step_100_512.pt step_200_512.pt", "step_*_512", [100, 200]),  # not 100,512
        ("iter_0000500 iter_0001000", "iter_*", [500, 1000]),
        # units before and behind
        ("rl_model_10000_steps.pt rl_model_20000_steps.pt", "rl_model_*_steps", [10_000, 20_000]),
        ("net_10k_steps net_20k_steps", "net_*_steps", [10_000, 20_000]),
        ("10epochs.pt 20epochs.pt", "*epochs", [10, 20]),
        ("10ksteps.pt 2e5steps.pt 500steps.pt", "*steps", [10_000, 200_000, 500]),
        ("ckpt_1e+05.pt ckpt_2.5e5.pt", "ckpt_*", [100_000, 250_000]),
        ("STEP100.pt STEP2K.pt", "STEP*", [100, 2000]),
        ("model_0004999.pth model_0009999.pth", "model_*", [4999, 9999]),
        ("weights_epoch_5_loss_0.12.pt weights_epoch_6_loss_0.1.pt", "weights_epoch_*_loss_*", [5, 6]),
        ("3rd_epoch.pt 10th_epoch.pt", "*_epoch", [3, 10]),
        ("tokens_1.5B.pt tokens_20B.pt", "tokens_*", [1_500_000_000, 20_000_000_000]),
        ("step1000-tokens4B step2000-tokens8B", "step*-tokens*", [1000, 2000]),
        ("trainStep100.pt trainStep200.pt", "trainStep*", [100, 200]),
        ("model_e9.pth model_e10.pth", "model_e*", [9, 10]),
        ("epoch=1-step=200.ckpt epoch=2-step=400.ckpt", "epoch=*-step=*", [200, 400]),
        ("epoch=0-step=100.ckpt epoch=0-step=200.ckpt epoch=1-step=300.ckpt", "epoch=*-step=*", [100, 200, 300]),
        ("checkpoint_1_500.pt checkpoint_1_1000.pt checkpoint_2_1500.pt", "checkpoint_*_*", [500, 1000, 1500]),
        ("checkpoint_1_500.pt checkpoint_2_1000.pt", "checkpoint_*_*", [500, 1000]),
        ("checkpoint_5_3.pt checkpoint_6_4.pt", "checkpoint_*_*", [5, 6]),
        # fractions of epochs keep their value
        ("epoch_0.5.pt epoch_1.0.pt epoch_1.5.pt", "epoch_*", [0.5, 1.0, 1.5]),
        ("model_1.pt model_1.5.pt model_2.pt", "model_*", [1, 1.5, 2]),
        # what is no step
        ("model_ep2_loss0.932_acc81.2.pt model_ep10_loss0.532_acc91.2.pt", "model_ep*_loss*_acc*", [2, 10]),
        ("epoch=3-val_loss=0.25.ckpt epoch=12-val_loss=0.125.ckpt", "epoch=*-val_loss=*", [3, 12]),
        ("weights.02-0.73.pt weights.10-0.53.pt", "weights.*-*", [2, 10]),
        ("v2_step100.pt v2_step200.pt", "v2_step*", [100, 200]),
        ("step100_a3f9c2e1.pt step200_b3f9c2e2.pt", "step*_*", [100, 200]),
        ("step100_seed3.pt step200_seed3.pt", "step*_seed3", [100, 200]),
        ("run-2024-05-01_step100.pt run-2024-05-01_step200.pt", "run-2024-05-01_step*", [100, 200]),
        ("20240501_120000_step100 20240502_120000_step200", "*_step*", [100, 200]),
        ("pythia-160m-step1000 pythia-160m-step2000", "pythia-160m-step*", [1000, 2000]),
        ("resnet50_10.pt resnet50_20.pt", "resnet50_*", [10, 20]),
        ("ckpt_iter5_of_run7.pt ckpt_iter10_of_run7.pt", "ckpt_iter*_of_run7", [5, 10]),
        ("p53_2_final.pt p53_10_final.pt", "p53_*", [2, 10]),
        ("step_100_best.pt step_200.pt step_300_final.pt", "step_*", [100, 200, 300]),
        ("step=5.ckpt step=5-v1.ckpt step=6.ckpt", "step=*", [5, 5, 6]),
        ("20240501_100000.pt 20240501_200000.pt 20240501_300000.pt", "20240501_*", [100_000, 200_000, 300_000]),
        ("20240501_1000.pt 20240501_2000.pt", "20240501_*", [1000, 2000]),
        ("20240501_500.pt 20240502_1000.pt", "*_*", [500, 1000]),
        ("step20240501.pt step20240601.pt", "step*", [20240501, 20240601]),
        # what only counts runs is a step where nothing else differs
        ("run1_5.pt run2_5.pt", "run*_5", [1, 2]),
        ("1714521601_100.pt 1714521601_200.pt", "1714521601_*", [100, 200]),
        ("model_1500000000.pt model_2000000000.pt", "model_*", [1_500_000_000, 2_000_000_000]),
        ("torch2.1.0_step1 torch2.1.0_step2", "torch2.1.0_step*", [1, 2]),
        ("v1.pt v2.pt v10.pt", "v*", [1, 2, 10]),
        # an epoch whose length is in the names
        ("epoch0_iter50_of_500 epoch1_iter50_of_500", "epoch*_iter*_of_*", [50, 550]),
    ],
)
def test_one_group_and_its_steps(names, group, steps):
    assert groups_of(names) == ({group: steps}, [])
    assert list(map(type, groups_of(names)[0][group])) == list(map(type, steps))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("epoch0_iter50 epoch1_iter50", [0, 1]),
        ("epoch0_iter50 epoch0_iter100 epoch1_iter50 epoch1_iter100", [0, 1, 2, 3]),
        ("epoch=0-step=90.ckpt epoch=1-step=10.ckpt epoch=2-step=40.ckpt", [0, 1, 2]),
        ("epoch_1_50.pt epoch_1_100.pt epoch_2_50.pt", [0, 1, 2]),
        ("2024-05-02.pt 2024-05-01.pt 2024-04-30.pt", [2, 1, 0]),
        ("20240501_120000.pt 20240501_130000.pt", [0, 1]),
        ("20240502_0900.pt 20240501_1200.pt 20240501_2330.pt", [2, 0, 1]),
        ("ckpt-2024-05-01T12:00:00.pt ckpt-2024-05-01T11:00:00.pt", [1, 0]),
        ("01-05-2024.pt 02-05-2024.pt 15-04-2024.pt", [1, 2, 0]),
        ("model_20240502120000123456.pt model_20240501120000123456.pt", [1, 0]),
        ("12h30m.pt 1h05m.pt 3h.pt 45min.pt", [3, 1, 2, 0]),
        ("model_1714521601.pt model_1714521500.pt", [1, 0]),
        ("v1.0.pt v1.1.pt v1.10.pt v1.2.pt v2.0.pt", [0, 1, 3, 2, 4]),
        ("model_1.1.pt model_1.10.pt model_1.2.pt", [0, 2, 1]),
        ("v1.2.9.pt v1.2.10.pt", [0, 1]),
    ],
)
def test_what_has_no_single_step_is_in_order_and_said(names, order):
    [group], without = grouped(names.split())
    assert (group.steps, without, group.ordinal, group.inferred) == (order, [], True, True)
    assert "0, 1, 2" in group.rule


@pytest.mark.parametrize(
    ("names", "steps", "said"),
    [
        ("e12_s3400.pt e13_s3700.pt", [3400, 3700], "the number in the names after 's', not that of the epoch"),
        ("epoch=3-s=900.ckpt epoch=4-s=1200.ckpt", [900, 1200], "not that of the epoch"),
        ("epoch_1_100.pt epoch_2_200.pt", [1, 2], "the epoch in the names, not the larger one beside it"),
        ("e1_s0.pt e2_s1.pt", [1, 2], ""),  # seeds
        ("e1_s512.pt e2_s512.pt", [1, 2], ""),  # sizes
        ("e12_s3400.pt e12_s3700.pt e13_s4000.pt", [3400, 3700, 4000], ""),  # as without the first
    ],
)
def test_a_step_beside_an_epoch_is_chosen_and_said(names, steps, said):
    [group], without = grouped(names.split())
    assert (group.steps, without, group.inferred) == (steps, [], bool(said))
    assert said in group.rule


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ("raw_1 ema_2 raw_3 ema_4", {"raw_*": [1, 3], "ema_*": [2, 4]}),
        ("model010000.pt ema_0.9999_010000.pt", {"model*": [10_000], "ema_0.9999_*": [10_000]}),
        ("ema_0.9999_100 ema_0.999_100", {"ema_0.9999_*": [100], "ema_0.999_*": [100]}),
        ("step100_seed3 step200_seed3 step300_seed4", {"step*_seed3": [100, 200], "step*_seed4": [300]}),
        ("lr0.1_step5 lr0.01_step5", {"lr0.1_step*": [5], "lr0.01_step*": [5]}),
        ("lr1e-3_step5 lr3e-4_step5", {"lr1e-3_step*": [5], "lr3e-4_step*": [5]}),
        ("v1_step100 v2_step100", {"v1_step*": [100], "v2_step*": [100]}),
        ("G_1000 D_1000 G_2000 D_2000", {"G_*": [1000, 2000], "D_*": [1000, 2000]}),
        ("netG_epoch_10.pth netD_epoch_10.pth", {"netG_epoch_*": [10], "netD_epoch_*": [10]}),
        ("model_0_50 model_0_100 model_1_50 model_1_100", {"model_0_*": [50, 100], "model_1_*": [50, 100]}),
        ("x_100 x_50_100", {"x_*": [100], "x_50_*": [100]}),
        ("step_1_shard_1 step_1_shard_2", {"step_*_shard_1": [1], "step_*_shard_2": [1]}),
        ("h64_step1 h64_step2 h128_step1 h128_step2", {"h64_step*": [1, 2], "h128_step*": [1, 2]}),
    ],
)
def test_several_groups(names, groups):
    assert groups_of(names) == (groups, [])


@pytest.mark.parametrize(
    ("names", "without"),
    [
        ("best.pt last.pt", "best.pt last.pt"),
        ("step_5.pt final.pt", "final.pt"),
        ("step_5.pt model_9.pt", "model_9.pt"),
        ("7.safetensors best.safetensors", "best.safetensors"),
        ("consolidated.00.pth", "consolidated.00.pth"),
        ("seed3.pt seed4.pt", "seed3.pt seed4.pt"),
        ("a3f9c2e1.pt 0b3f9c2e.pt", "a3f9c2e1.pt 0b3f9c2e.pt"),
        ("params_shard_1.npz params_shard_2.npz", "params_shard_1.npz params_shard_2.npz"),
        ("w_1_of_2.pt w_2_of_2.pt", "w_1_of_2.pt w_2_of_2.pt"),
        ("step_1.pt step_100000000000000000000.pt", "step_100000000000000000000.pt"),
        ("model_500.pt model_20240501.pt", "model_20240501.pt"),
    ],
)
def test_names_without_a_step(names, without):
    assert groups_of(names)[1] == without.split()


def test_the_user_may_say_where_the_step_is():
    assert groups_of("a_7_x_5.pt a_8_x_5.pt b.pt", r"a_(\d+)") == ({"a_*_x_5": [7, 8]}, ["b.pt"])
    assert groups_of("epoch0_iter50 epoch0_iter100", r"iter(\d+)") == ({"epoch0_iter*": [50, 100]}, [])
    assert groups_of("t1_000.pt t1k.pt", r"t([\d_k]+)\.pt$") == ({"t*": [1000, 1000]}, [])
    assert groups_of("owl_3_s9.pt fox_4_s9.pt", r"_(\d+)_") == ({"owl_*_s9": [3], "fox_*_s9": [4]}, [])
    assert groups_of("step=1.pt step=2.5.pt", r"step=([\d.]+)") == ({"step=*": [1, 2.5]}, [])
    assert groups_of("model_best.pt", r"model_(\w+)\.") == ({}, ["model_best.pt"])  # "best" is no number


def test_steps_are_in_the_order_of_the_names():
    assert steps_of(["model-step5-00001-of-00002.safetensors", "last.ckpt", "step_7"]) == [5, None, 7]
