"""Launch and repository buttons, of the repository that builds the book: else there are none."""

from benchpred_book import repository


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


def setup(app):
    app.connect("config-inited", add_buttons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
