"""The HTTP face: REST under ``/api/v1``, the schema registry, the pages."""
