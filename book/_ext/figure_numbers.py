"""Figures of a page without a number count from 1.

Sphinx would count them on over all such pages, from the landing page through the appendix.
"""


def count_by_page(app, env) -> list[str]:
    """Number them anew; returns the pages that Sphinx has to write again."""
    pages = []
    for page, kinds in env.toc_fignumbers.items():
        figures = kinds.get("figure")
        if figures and not any(env.toc_secnumbers.get(page, {}).values()):
            in_order = sorted(figures, key=figures.get)
            figures.update((name, (place,)) for place, name in enumerate(in_order, start=1))
            pages.append(page)
    return pages


def setup(app):
    app.connect("env-get-updated", count_by_page, priority=900)  # after Sphinx's own count
    return {"parallel_read_safe": True, "parallel_write_safe": True}
