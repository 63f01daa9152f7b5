"""Hugging Face's own Trainer with the callback: the rows and curves of its steps, and the run without it."""

import warnings

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

import tandv
from tandv.curves import read_curves
from tandv.integrations.transformers import TandvCallback
from tandv.track.common import run_status

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of transformers, peft and what they import


class Tokens(torch.utils.data.Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, number):
        tokens = torch.arange(number, number + 6) % 32
        return {"input_ids": tokens, "labels": tokens}


class Losses(TrainerCallback):
    """Keeps what the trainer logs, as a user would see it."""

    def __init__(self):
        self.seen = []

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            self.seen.append(logs["loss"])


def gpt2():
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=8, n_embd=8, n_layer=1, n_head=2, **ids))


def with_adapters():
    from peft import LoraConfig, get_peft_model

    return get_peft_model(gpt2(), LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))


def train(*callbacks, model=gpt2, resume=None, **options):
    torch.manual_seed(0)
    whole = {"max_steps": 4, "save_strategy": "no", "logging_steps": 1} | options
    arguments = TrainingArguments(
        "out", per_device_train_batch_size=2, report_to=[], use_cpu=True, disable_tqdm=True, **whole
    )
    losses = Losses()
    trainer = Trainer(model(), arguments, train_dataset=Tokens(), eval_dataset=Tokens(), callbacks=[losses, *callbacks])
    trainer.train(resume_from_checkpoint=resume)
    return trainer.model, losses.seen


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def steps_of(callback):
    return sorted(tandv.read(callback.tracker.out_path)[("metadata", "step")].unique())


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (gpt2, {}),
        (gpt2, {"gradient_accumulation_steps": 2, "eval_strategy": "steps", "eval_steps": 2}),
        (gpt2, {"torch_compile": True, "torch_compile_backend": "aot_eager"}),
        (with_adapters, {}),
    ],
    ids=["as it is", "accumulated", "compiled", "adapters"],
)
def test_each_global_step_is_a_step_with_what_was_logged_and_the_run_is_the_same_without(model, options):
    callback = TandvCallback()
    trained, losses = train(callback, model=model, **options)
    untracked, same = train(model=model, **options)
    assert losses == same and all(map(torch.equal, trained.parameters(), untracked.parameters()))
    assert steps_of(callback) == [0, 1, 2, 3]
    curves = read_curves(callback.tracker.path)
    assert curves["loss"].tolist() == losses and curves["learning_rate"].is_monotonic_decreasing
    log = tandv.read(callback.tracker.out_path)
    rate = log[(log.metadata.tensor_type == "Activation") & log.metadata.name.astype(str).str.endswith("c_attn")]
    assert set(rate.scalar_stats.calls) == {options.get("gradient_accumulation_steps", 1)}
    trains = sum(p.requires_grad for p in trained.parameters())
    assert (log.metadata.tensor_type == "Optimiser_State.exp_avg").sum() == 4 * trains
    if "eval_steps" in options:  # the numbers of an evaluation belong to the step before it
        assert curves["eval_loss"].dropna().index.tolist() == [1, 3] and "eval_runtime" not in curves


def test_a_resumed_training_goes_on_with_the_step_after_its_checkpoint():
    train(TandvCallback(), save_strategy="steps", save_steps=2)
    callback = TandvCallback()
    train(callback, resume="out/checkpoint-2")
    assert steps_of(callback) == [2, 3]


def test_a_loss_that_is_logged_for_several_steps_stands_at_the_last_of_them():
    callback = TandvCallback()
    train(callback, logging_steps=2)
    assert read_curves(callback.tracker.path)["loss"].dropna().index.tolist() == [1, 3]


def test_what_comes_after_training_is_left_alone():
    callback = TandvCallback()
    arguments = TrainingArguments("out", max_steps=2, report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no")
    trainer = Trainer(gpt2(), arguments, train_dataset=Tokens(), eval_dataset=Tokens(), callbacks=[callback])
    trainer.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", "tandv")
        trainer.evaluate()
    assert steps_of(callback) == [0, 1]


class Stops(TrainerCallback):
    """Raises an error after some steps, once."""

    def __init__(self):
        self.raised = False

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 2 and not self.raised:
            self.raised = True
            raise RuntimeError("out of memory")


@pytest.mark.parametrize("again", ["same callback", "another one"])
def test_a_training_that_raised_an_error_ends_where_the_next_one_of_its_model_begins(again):
    model, first = gpt2(), TandvCallback()
    second = first if again == "same callback" else TandvCallback()
    with pytest.raises(RuntimeError, match="out of memory"):
        train(first, Stops(), model=lambda: model)
    left_open = first.tracker
    train(second, model=lambda: model)
    assert not left_open.is_on
    assert run_status(left_open.path) == "ended by TrainingDidNotEnd"
    assert sorted(set(tandv.read(left_open.path)["metadata", "step"])) == [0, 1]
    assert sorted(set(tandv.read(second.tracker.path)["metadata", "step"])) == [0, 1, 2, 3]


def test_the_trainer_of_trl_takes_it(tmp_path):
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    words = Tokenizer(models.WordLevel({w: n for n, w in enumerate(["<pad>", "<eos>", "a", "b"])}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")
    arguments = SFTConfig(
        "out",
        max_steps=2,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        bf16=False,
    )
    callback, losses = TandvCallback(), Losses()
    data = Dataset.from_dict({"text": ["a b a b"] * 16})
    SFTTrainer(gpt2(), arguments, train_dataset=data, processing_class=tokenizer, callbacks=[losses, callback]).train()
    assert steps_of(callback) == [0, 1] and read_curves(callback.tracker.path)["loss"].tolist() == losses.seen


def test_a_tracker_that_cannot_begin_is_said_and_training_is_the_same():
    _, losses = train()
    with pytest.warns(UserWarning, match="tracking did not begin: (?s:.)*'nowhere' matches no(?s:.)*Training goes on"):
        _, same = train(TandvCallback(include="nowhere"))
    assert losses == same


def test_arguments_are_checked_before_any_training():
    with pytest.raises(TypeError, match=r"no argument 'evry' in tandv.track.torch.track; did you mean 'every'\?"):
        TandvCallback(evry=10)


def test_an_accelerate_loop_gives_track_its_wrapped_optimiser():
    from accelerate import Accelerator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    plain = torch.nn.Linear(2, 1)
    model, optimizer = accelerator.prepare(plain, torch.optim.Adam(plain.parameters()))
    with tandv.track.track(model, optimizer=optimizer, name="loop") as tracker:
        for _ in range(4):
            with accelerator.accumulate(model):
                loss = model(torch.ones(3, 2)).square().mean()
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            tracker.numbers(loss=loss)
            if accelerator.sync_gradients:
                tracker.step()
    log = tandv.read(tracker.out_path)
    states = log[log.metadata.tensor_type == "Optimiser_State.exp_avg"]
    assert states.metadata.step.tolist() == [0, 0, 1, 1]
    assert set(log[log.metadata.tensor_type == "Activation"].scalar_stats.calls) == {2}
    assert read_curves(tracker.path)["loss"].count() == 2
