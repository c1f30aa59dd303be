"""The book's build: chapters are executed, stamped, compared and made into pages."""
