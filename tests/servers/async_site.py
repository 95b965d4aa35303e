"""Async views that send, and what became of the tasks in which they did."""

import asyncio
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import path

from django_valify_otp.services import asend_otp

tasks: list["asyncio.Task[Any]"] = []


async def send(request: HttpRequest, phone_number: str) -> JsonResponse:
    """Send an OTP. The other view can see the task of this one."""
    task = asyncio.current_task()
    assert task is not None
    tasks.append(task)
    otp_send = await asend_otp(phone_number)
    return JsonResponse({"status": otp_send.status})


async def look(request: HttpRequest) -> JsonResponse:
    """Tell how often each task was asked to stop, and which are over."""
    return JsonResponse(
        {"cancelling": [task.cancelling() for task in tasks], "over": sum(t.done() for t in tasks)}
    )


def sync_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Do nothing, in a thread: Django runs async views under it in another way."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    return respond


urlpatterns = [path("send/<str:phone_number>/", send), path("look/", look)]
