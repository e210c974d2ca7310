"""Addresses of the TOM: those of the toolkit, and of its pages of brokers, which are no longer among them."""

from __future__ import annotations

from django.urls import include, path
from tom_common.urls import urlpatterns as toolkit

urlpatterns = [*toolkit, path("alerts/", include("tom_alerts.urls", namespace="alerts"))]
