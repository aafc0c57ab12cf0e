"""Small random classifiers of texts, with what transformers makes of some tokens.

Needs torch and transformers 5; writes the folders beside it:  python make.py
"""

import json
import pathlib
import sys

import torch
from transformers import (
    BertConfig, BertForSequenceClassification, BertTokenizer, GPT2Config, GPT2ForSequenceClassification,
    LlamaConfig, LlamaForSequenceClassification, Qwen3Config, Qwen3ForSequenceClassification)

HERE = pathlib.Path(__file__).parent
TEXTS = ["the cat sat on the mat", "the dog ran", "a cat and a dog ran on and on"]
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the a cat dog sat ran on mat and".split()
WIDE = dict(vocab_size=128, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=64, initializer_range=0.2)
IDS = [[5, 17, 99, 3, 64], [7], list(range(2, 40))]


def save(name, model, inputs):
    # Stored as f16, computed in f32: what is stored is what was computed with.
    folder = HERE / name
    model.half().save_pretrained(folder)
    model = type(model).from_pretrained(folder, dtype=torch.float32).eval()
    examples = []
    for ids, text in inputs:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].tolist()
        examples.append({"text": text, "input_ids": ids, "logits": logits})
    lines = ",\n".join(json.dumps(example) for example in examples)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "expected.json").write_text(f"[\n{lines}\n]\n")


def main():
    torch.manual_seed(7)
    plain = [(ids, None) for ids in IDS]
    named = dict(id2label={0: "calm", 1: "glad", 2: "sad"}, label2id={"calm": 0, "glad": 1, "sad": 2})
    save("llama", LlamaForSequenceClassification(LlamaConfig(**WIDE, num_key_value_heads=2, **named)), plain)
    # Two classes without names: config.json states neither them nor their number.
    save("qwen3", Qwen3ForSequenceClassification(
        Qwen3Config(**WIDE, num_key_value_heads=2, head_dim=8, tie_word_embeddings=True)), plain)
    # A value.
    save("gpt2", GPT2ForSequenceClassification(GPT2Config(
        vocab_size=128, n_embd=32, n_inner=48, n_layer=2, n_head=4, n_positions=64, initializer_range=0.2,
        num_labels=1, bos_token_id=1, eos_token_id=1)), plain)
    folder = HERE / "bert"
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = BertTokenizer(vocab=str(folder / "vocab.txt"))
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    save("bert", BertForSequenceClassification(BertConfig(**{**WIDE, "vocab_size": len(WORDS)}, **named)),
         list(zip(ids, TEXTS)))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "unk_token": "[UNK]", "sep_token": "[SEP]",
        "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]", "model_max_length": 64}, indent=2) + "\n")


sys.exit(main())
