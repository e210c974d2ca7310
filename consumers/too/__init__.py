"""A hook for robotic telescopes: alerts that a rule likes become requests to observatories.

Rules say which filters, which site, which limits, how long to expose and how much of a night may be spent. A match that
passes becomes a request for a window in which the target can be seen; it is written down, or with ``--live`` posted. What
was requested for an alert is cancelled when the alert is taken back. Run it with ``python -m consumers.too --rules FILE``.
"""
