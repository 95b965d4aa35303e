"""The benchmarks run."""

import json
import socket
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from django.db import connection

from benchmarks.audit import median_milliseconds
from benchmarks.vendor import SEND_PATH, TOKEN_PATH, running_vendor
from tests.benchmarking import run_benchmark

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]


def test_send(tmp_path: Path) -> None:
    figures = tmp_path / "send.json"
    printed = run_benchmark("benchmarks.send", "--rounds=1", "--sends=1", f"--json={figures}")
    found = json.loads(figures.read_text())
    engines = [database["engine"] for database in found["databases"]]
    assert engines == [*dict.fromkeys(["sqlite", connection.vendor])]
    titles, names = [], Counter[str]()
    for database in found["databases"]:
        assert len(database["scenarios"]) == 8
        assert len(database["gunicorn"]) == (database["engine"] != "sqlite")
        for block in [*database["scenarios"], *database["gunicorn"]]:
            titles.append(f"{database['database']}, {block['name']}")
            names.update(block["rounds"][0].keys())
        names.update(database["counts"].keys())
        assert database["counts"]["floor"] == {"statements": 2, "commits": 2}
        assert database["counts"]["send_otp, limits on"]["commits"] == 2
    printed_lines = printed.splitlines()
    assert [title for title in titles if title not in printed_lines] == []
    assert names <= Counter(line[:27].rstrip() for line in printed_lines)


def test_send_measures_only_what_is_asked_for(tmp_path: Path) -> None:
    figures = tmp_path / "send.json"
    options = ["--rounds=1", "--sends=1", "--rows=100", f"--json={figures}"]
    filters = ["--scenarios=TLS, 0 ms, 1 thread", "--variants=verify endpoint"]
    run_benchmark("benchmarks.send", *options, *filters)
    for database in json.loads(figures.read_text())["databases"]:
        [scenario] = database["scenarios"]
        assert (scenario["tls"], scenario["delay"], scenario["threads"]) == (True, 0, 1)
        floors = ["floor", "verify floor", "bare verify view"]
        assert [*scenario["floors"]] == [*floors, "verify endpoint"]
        for size in database["bytes_a_row"].values():
            assert size["rows"] > 0


def test_the_vendor_refuses_an_access_token_that_is_used_up(tmp_path: Path) -> None:
    with running_vendor(str(tmp_path)) as vendor:
        session = requests.Session()
        url = vendor.url(tls=False, delay=0)
        token = session.post(f"{url}{TOKEN_PATH}").json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        answers = [session.post(f"{url}{SEND_PATH}", headers=bearer) for _ in range(4)]
        assert [answer.json().get("trials_remaining") for answer in answers] == [2, 1, 0, None]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 403]
        assert vendor.counts() == {"connections": 1, "tokens": 1, "calls": 4}


def test_the_vendor_reads_a_request_in_parts(tmp_path: Path) -> None:
    with running_vendor(str(tmp_path)) as vendor:
        address = urlsplit(vendor.url(tls=False, delay=0))
        with socket.create_connection((address.hostname, address.port), timeout=10) as client:
            for part in (f"POST {TOKEN_PATH} HTTP/1.1\r\n", "Content-Length: 4\r\n\r\n", "a=", "b"):
                client.sendall(part.encode())
                time.sleep(0.05)
            assert vendor.counts()["tokens"] == 0
            client.sendall(b"c")
            assert client.recv(12) == b"HTTP/1.1 200"


def test_what_takes_long_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.audit.PATIENCE_SECONDS", 0)
    calls: list[str] = []
    assert median_milliseconds(calls.append, "a page", repeats=15) > 0
    assert calls == ["a page"]
