"""Settings of a small TOM, as `manage.py tom_setup` writes them, with Nuncius among its brokers and streams."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tom_common.default_settings import *  # noqa: F403
from tom_common.default_settings import TOMTOOLKIT_AUTHENTICATION_BACKENDS, TOMTOOLKIT_INSTALLED_APPS, TOMTOOLKIT_MIDDLEWARE

FOLDER = Path(os.environ["TOM_FOLDER"])
SECRET_KEY = "of nobody"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [*TOMTOOLKIT_INSTALLED_APPS, "tom_alerts", "tom_alertstreams"]
SITE_ID = 1
MIDDLEWARE = TOMTOOLKIT_MIDDLEWARE
ROOT_URLCONF = "tests.consumers.tom_urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
CRISPY_TEMPLATE_PACK = "bootstrap5"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / "tom.sqlite3"), "OPTIONS": {"timeout": 30}}
}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
AUTHENTICATION_BACKENDS = TOMTOOLKIT_AUTHENTICATION_BACKENDS
LOGIN_URL = "/accounts/login/"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
MEDIA_ROOT = str(FOLDER / "media")
MEDIA_URL = "/data/"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
TASKS = {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}
TARGET_TYPE = "SIDEREAL"
MATCH_MANAGERS: dict[str, str] = {}
FACILITIES: dict[str, object] = {}
DATA_PRODUCT_TYPES = {"photometry": ("photometry", "Photometry"), "spectroscopy": ("spectroscopy", "Spectroscopy")}
DATA_PROCESSORS: dict[str, str] = {}
TOM_FACILITY_CLASSES: list[str] = []
EXTRA_FIELDS: list[object] = []
GENERAL_SEARCH_FUNCTIONS: dict[str, str] = {}
SELECTION_EXTRA_FIELDS: list[str] = []
AUTH_STRATEGY = "READ_ONLY"
OPEN_URLS: list[str] = []
HOOKS: dict[str, str] = {}
TOM_ALERT_CLASSES = ["consumers.tom.broker.NunciusBroker"]
BROKERS = {"Nuncius": {"url": os.environ["NUNCIUS_URL"], "api_key": os.environ.get("TOM_NUNCIUS_TOKEN", "")}}
ALERT_STREAMS = json.loads(os.environ.get("TOM_STREAMS", "[]"))
