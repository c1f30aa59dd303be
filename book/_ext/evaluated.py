"""Put the stored values of a chapter into its sentences, before MyST reads them."""

from benchpred_book import expressions


def read_values(app, page, source) -> None:
    if page.startswith("notebooks/") and expressions.ROLE.search(source[0]):
        source[0] = expressions.resolved(source[0])


def setup(app):
    app.connect("source-read", read_values)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
