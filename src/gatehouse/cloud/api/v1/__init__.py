"""REST API, version 1: one module per area, named as in the domain and in the portal."""
