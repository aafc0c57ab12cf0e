"""Writes what the reference libraries make of templates and texts, for the tests.

templates.json: jinja2, set up as transformers does it, on the templates here.
ids.json: tokenizers 0.23 on fixtures/tokenizers-json and the texts of fixtures/tokenizers-gguf.

    pip install jinja2 tokenizers
    python golden.py templates
    python golden.py ids ../../../../../shared
"""

import json
import sys
from pathlib import Path

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = Path(__file__).parent
CONVERSATIONS = [
    [("user", "Hi")],
    [("system", " Be brief. "), ("user", "What is <b>1+1</b>?\n")],
    [("user", "Hi"), ("assistant", "<think>\nhm\n</think>\n\nHello!"), ("user", " Who are you?  ")],
    [("system", "S"), ("user", "a\nb"), ("assistant", "c"), ("user", "日本 🦙")],
    [("user", "Hi"), ("assistant", "Hello!")],
]


def templates():
    def raise_exception(message):
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = lambda x, ensure_ascii=False, indent=None: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent
    )
    environment.globals["raise_exception"] = raise_exception
    cases = []
    for path in sorted((HERE / "templates").glob("*.jinja")):
        template = environment.from_string(path.read_text())
        for number, conversation in enumerate(CONVERSATIONS):
            messages = [{"role": role, "content": content} for role, content in conversation]
            for prompt in (False, True):
                case = {"template": path.stem, "messages": messages, "prompt": prompt}
                try:
                    case["text"] = template.render(
                        messages=messages,
                        add_generation_prompt=prompt,
                        bos_token="<s>",
                        eos_token="</s>",
                        date_string="26 Jul 2024",
                    )
                except TemplateError as error:
                    case["error"] = str(error)
                cases.append(case)
    (HERE / "templates.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")


MORE_TEXTS = [
    "<|endoftext|>a<|endoftext|> b",
    "a    b\t\tc          d\r\n\r\ne",
    "[CLS] in [MASK] text ##ing un##able",
    "Ünïcödé naïve ﬁﬂ Straße İstanbul",
    "\u0000\u0001 null\ufffd \u200b zero\u2028line",
    "x" * 120 + " " + "\u4e2d\u6587\u5b57",
    "don't I'LL we'Ve 'S",
]


def ids(shared):
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    shared = Path(shared)
    folder = shared / "fixtures/tokenizers-json"
    inp = shared / "fixtures/tokenizers-gguf/ggml-vocab-gpt-2.gguf.inp"
    texts = inp.read_text().split("\n__ggml_vocab_test__\n")[:-1] + MORE_TEXTS
    tokenizers = {
        "gpt2": Tokenizer.from_file(str(folder / "gpt2/tokenizer.json")),
        "gpt-neox-20b": Tokenizer.from_file(str(folder / "gpt-neox-20b/tokenizer.json")),
        "bert-base-uncased": BertWordPieceTokenizer(str(folder / "bert-base-uncased/vocab.txt")),
    }
    golden = {"texts": texts}
    for name, tokenizer in tokenizers.items():
        encoded = [tokenizer.encode(text, add_special_tokens=True).ids for text in texts]
        decoded = [tokenizer.decode(ids, skip_special_tokens=True) for ids in encoded]
        golden[name] = {"ids": encoded, "decoded": decoded}
    (HERE / "ids.json").write_text(json.dumps(golden, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    {"templates": templates, "ids": ids}[sys.argv[1]](*sys.argv[2:])
