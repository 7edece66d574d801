"""Executes a notebook's cells, without Jupyter: `python execute_notebook.py NOTEBOOK`.

Prints each code cell and what it shows. A cell's value is shown as in Jupyter, by its HTML where it has any.
"""

from __future__ import annotations

import ast
import json
import pathlib
import re
import sys


def shown(value) -> str:
    """A value as a notebook shows it; of HTML the text alone."""
    html = getattr(value, "_repr_html_", lambda: None)()
    if html is None:
        return repr(value)
    return "[HTML] " + " ".join(re.sub("<style.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL).split())


def main():
    notebook = json.loads(pathlib.Path(sys.argv[1]).read_text())
    names = {"__name__": "__main__"}
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, source in enumerate(cells, 1):
        print(f"In [{number}]: " + source.replace("\n", "\n    "))
        code = ast.parse(source)
        last = code.body.pop() if code.body and isinstance(code.body[-1], ast.Expr) else None
        exec(compile(code, f"cell {number}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
            if value is not None:
                print(f"Out[{number}]: " + shown(value).replace("\n", "\n    "))


if __name__ == "__main__":
    main()
