"""Nuncius in a TOM: a broker module and an alert stream for the TOM Toolkit.

In the settings of the TOM::

    TOM_ALERT_CLASSES = ["consumers.tom.broker.NunciusBroker", ...]
    BROKERS = {"Nuncius": {"url": "http://127.0.0.1:8000", "api_key": os.environ.get("NUNCIUS_TOKEN", "")}}

    INSTALLED_APPS += ["tom_alertstreams"]
    ALERT_STREAMS = [{
        "NAME": "consumers.tom.stream.NunciusAlertStream",
        "OPTIONS": {
            "URL": "http://127.0.0.1:8000",
            "TOPIC_HANDLERS": {"ztf_bright_transients": "consumers.tom.handlers.save_target"},
        },
    }]

Nothing of Django is imported before one of these modules is.
"""
