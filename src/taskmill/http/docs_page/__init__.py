"""``/docs``: a server's OpenAPI document as a page, with all that it needs in this folder."""
