"""Writes templates.json: what jinja2, set up as transformers does it, makes of the templates here.

    pip install jinja2
    python golden.py templates
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


if __name__ == "__main__":
    {"templates": templates}[sys.argv[1]]()
