"""``/dashboard``: what is going on, as a page. It knows the API alone, so whatever it shows or does, a client can."""
