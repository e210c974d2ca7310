"""The steps an alert goes through, each ``Batch -> Batch``."""
