"""Launch and repository buttons, of the repository that builds the book: else there are none."""

from pathlib import Path

from benchpred_book import repository
from benchpred_book.build.plain import FOLDER

GITHUB = "https://github.com/"


def add_buttons(app, config) -> None:
    """Point the buttons of every page at the commit that it is built from."""
    address = repository.address()
    commit = repository.commit()
    if address and commit:
        config.html_theme_options |= {
            "repository_url": address,
            "repository_branch": commit,
            "path_to_docs": "",
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": {
                "notebook_interface": "jupyterlab",
                "binderhub_url": "https://mybinder.org",
            },
        }


def add_plain_copies(app, pagename, templatename, context, doctree) -> None:
    """Let the launch buttons lead to the plain copy of a chapter: no viewer reads all of MyST."""
    groups = {group.get("label"): group for group in context.get("header_buttons", [])}
    if "launch-buttons" not in groups:
        return
    buttons = groups["launch-buttons"]["buttons"]
    for button in buttons:  # Binder's: its copies are made by postBuild
        button["url"] = button["url"].replace("/tree/notebooks/", f"/tree/_build/{FOLDER}/")
    address = repository.address()
    if not address.startswith(GITHUB):
        return
    copy = f"{address.removeprefix(GITHUB)}/blob/{FOLDER}/{Path(pagename).name}.ipynb"
    colab = "https://colab.research.google.com/github/"
    buttons += [
        link("Colab", "Launch on Colab", "_static/images/logo_colab.png", colab + copy),
        link("GitHub", "Read on GitHub", "fab fa-github", GITHUB + copy),
    ]


def link(text: str, tooltip: str, icon: str, url: str) -> dict:
    """A button as the theme has it."""
    return {"type": "link", "text": text, "tooltip": tooltip, "icon": icon, "url": url}


def setup(app):
    app.connect("config-inited", add_buttons)
    app.connect("html-page-context", add_plain_copies, priority=900)  # after the theme's
    return {"parallel_read_safe": True, "parallel_write_safe": True}
