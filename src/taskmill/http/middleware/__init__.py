"""Pieces that stand before a router's endpoints, each its own entry, in the order in which the router names them."""
