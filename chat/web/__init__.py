"""HTTP: pages, static files, and WSGI middleware."""
