"""The routes of HTTP."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


async def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer the health check."""
    return HttpResponse("ok")


urlpatterns = [path("healthz", healthz)]
