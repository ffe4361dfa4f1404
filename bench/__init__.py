"""How fast is it? One script a question, one file a peer, one table: `python -m bench`."""
