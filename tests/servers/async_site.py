"""Async views that send, and what became of the tasks in which they did."""

import asyncio
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import path

from django_valify_otp.services import asend_otp

tasks: list["asyncio.Task[Any]"] = []
cancelled: list["asyncio.Task[Any]"] = []


async def send(request: HttpRequest, phone_number: str) -> JsonResponse:
    """Send an OTP. The other view can see the task of this one."""
    task = asyncio.current_task()
    assert task is not None
    tasks.append(task)
    try:
        otp_send = await asend_otp(phone_number)
    except asyncio.CancelledError:
        cancelled.append(task)
        raise
    return JsonResponse({"status": otp_send.status})


async def look(request: HttpRequest) -> JsonResponse:
    """Tell how often each task at work was asked to stop, and how many were cancelled or are over.

    From Django 6.1 on, a task forgets at its end that it was asked.
    """
    at_work = [task.cancelling() for task in tasks if not task.done()]
    over = len(tasks) - len(at_work)
    return JsonResponse({"cancelling": at_work, "cancelled": len(cancelled), "over": over})


def sync_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Do nothing, in a thread: Django runs async views under it in another way."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    return respond


urlpatterns = [path("send/<str:phone_number>/", send), path("look/", look)]
