"""What makes and checks the documentation; not part of the wheel.

reference.py   the pages of docs/reference, made from the code; the modules below make one each
command_line.py, python_api.py, protocol.py, settings.py, manifest.py, statuses.py, recipes.py,
metric_definitions.py
prose.py       docstrings and comments as Markdown
source.py      what the interpreter forgets of a module: docstrings of fields and constants
links.py       links and anchors of all Markdown files
blocks.py      the commands that the documentation shows
commands.py    runs them, beside the files of belongings.py
site.py        hooks of MkDocs: files of the repository that pages link to become pages
"""
