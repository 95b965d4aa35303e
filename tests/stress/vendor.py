"""A Valify that fails at times, and keeps a true record of what it was asked and what it did."""

import random
import socket
import threading
from collections import Counter

from tests.scripted_server import (
    SEND_PATH,
    TOKEN_PATH,
    VERIFY_PATH,
    Answer,
    Received,
    ScriptedServer,
    answer,
    hang_up,
    sent,
    token,
    verified,
)

FORBIDDEN = answer(403, {"message": "Forbidden"})
REFUSED = answer(422, {"message": "Not today", "error_code": 17})
BUSY = answer(429, b"", {"Retry-After": "1"})
BROKEN = answer(500, {"message": "Internal Server Error"})


def right_otp(transaction_id: str) -> str:
    """The code that it sent: its own digits."""
    return transaction_id[-6:]


class RecordingValify:
    """A record of SMS by number, of answers by transaction ID, of guesses with a refused token."""

    def __init__(self, server: ScriptedServer, chance: random.Random) -> None:
        self.sms: Counter[str] = Counter()
        self.told: dict[str, str] = {}
        self.refused_guesses: Counter[str] = Counter()
        self._server = server
        self._chance = chance
        self._lock = threading.Lock()
        self._tokens = 0
        server.answers[TOKEN_PATH] = [self.give_token]
        server.answers[SEND_PATH] = [self.take_send]
        server.answers[VERIFY_PATH] = [self.take_guess]

    def sends(self) -> Counter[str]:
        """How often each number was asked for."""
        return Counter(call.json["phone_number"] for call in self._server.at(SEND_PATH))

    def guesses(self) -> Counter[str]:
        """How often a code of each transaction was tried."""
        return Counter(call.json["transaction_id"] for call in self._server.at(VERIFY_PATH))

    def give_token(self, sock: socket.socket, received: Received) -> None:
        """A token, or sometimes none."""
        with self._lock:
            self._tokens += 1
            chosen = BROKEN if self._chance.random() < 0.03 else token(f"token-{self._tokens}")
        chosen(sock, received)

    def take_send(self, sock: socket.socket, received: Received) -> None:
        """An SMS and its transaction ID, mostly."""
        with self._lock:
            chosen = self._choose(received.json["phone_number"])
        chosen(sock, received)

    def _choose(self, number: str) -> Answer:
        fate = self._chance.random()
        if fate < 0.12:
            return self._chance.choice([FORBIDDEN, REFUSED, BUSY])
        self.sms[number] += 1
        if fate < 0.16:
            return self._chance.choice([BROKEN, hang_up])
        transaction_id = f"T{len(self.told):06}"
        self.told[transaction_id] = number
        return sent(transaction_id)

    def take_guess(self, sock: socket.socket, received: Received) -> None:
        """Yes to a right code, whoever was told so before."""
        transaction_id, otp = received.json["transaction_id"], received.json["otp"]
        with self._lock:
            fate = self._chance.random()
            self.refused_guesses[transaction_id] += fate < 0.04
        if fate < 0.04:
            FORBIDDEN(sock, received)
        elif fate < 0.08:
            BROKEN(sock, received)
        elif otp == right_otp(transaction_id):
            verified()(sock, received)
        else:
            REFUSED(sock, received)
