"""Make the logs of this folder: tiny language models learn sums, and a harness tests them.

The commands are in README.md.  Some minutes on one core, without a network.  The logs are kept, the
models are not.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
MODELS = HERE / "models"  # deleted at the end
SOURCES = {
    "adder-0100": 100,
    "adder-0200": 200,
    "adder-0400": 400,
    "adder-0800": 800,
}  # name: training steps
TARGET = {"adder-1600": 1600}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def write_questions(n=24, seed=1):
    """The questions of both tasks: two numbers, their sum, and two near misses."""
    rng = random.Random(seed)
    pairs = rng.sample([(a, b) for a in range(1, 20) for b in range(1, 20)], n)
    with open(HERE / "tasks" / "sums.jsonl", "w", encoding="utf-8") as file:
        for a, b in pairs:
            wrong = [a + b + step for step in rng.choice([(1, 10), (-1, 10), (1, -10), (-1, 2)])]
            choices = rng.sample([str(max(value, 0)) for value in (a + b, *wrong)], 3)
            file.write(json.dumps({"a": a, "b": b, "sum": str(a + b), "choices": choices}) + "\n")
    return set(pairs)


def tokenizer():
    """One token per character."""
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", *"0123456789+=."])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    plain.pre_tokenizer, plain.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<eos>", pad_token="<pad>", unk_token="<pad>"
    )


def train(name, steps, asked, seed):
    """Save a GPT-2 of two layers after some steps on sums that the tasks do not ask."""
    torch.manual_seed(seed)
    rng, tokens = random.Random(seed), tokenizer()
    config = GPT2Config(
        vocab_size=15,
        n_positions=16,
        n_embd=48,
        n_layer=2,
        n_head=4,
        bos_token_id=1,
        eos_token_id=1,
    )
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    known = [(a, b) for a in range(1, 20) for b in range(1, 20) if (a, b) not in asked]
    for _ in range(steps):
        texts = [f"{a}+{b}={a + b}." for a, b in rng.choices(known, k=64)]
        batch = tokens(texts, return_tensors="pt", padding=True)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        model(
            batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels
        ).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(MODELS / name)
    tokens.save_pretrained(MODELS / name)


def evaluate(name, task, folder, *options):
    """Run the harness where the models are (names without folders); its log: folder/name."""
    command = [
        sys.executable,
        "-m",
        "lm_eval",
        "--model",
        "hf",
        "--model_args",
        f"pretrained={name}",
        "--device",
        "cpu",
    ]
    command += [
        "--tasks",
        task,
        "--include_path",
        "../tasks",
        "--batch_size",
        "16",
        "--log_samples",
    ]
    command += ["--output_path", f"../{folder}"]
    subprocess.run([*command, *options], cwd=MODELS, env=os.environ | OFFLINE, check=True)
    for results in (HERE / folder).rglob(
        "results_*.json"
    ):  # they hold the machine's particulars, and no scores of items
        results.unlink()


def main(part):
    if part == "sources":
        asked = write_questions()
        for seed, (name, steps) in enumerate((SOURCES | TARGET).items()):
            train(name, steps, asked, seed)
        for name in SOURCES:
            evaluate(name, "sums", "sources")
        for seed in ("1", "2"):
            evaluate("adder-0800", "sums_written", "written", "--seed", seed)
    else:
        evaluate(*TARGET, "sums", "target", "--samples", "../samples.json")
        shutil.rmtree(MODELS)


if __name__ == "__main__":
    main(sys.argv[1])
