"""The filter language and what a filter is."""
