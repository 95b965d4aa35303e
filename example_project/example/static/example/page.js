"use strict";

const TIMEOUT = 60_000;
const SANDBOX_CHECKED_EVERY = 3_000;
const QUEUE_CHECKED_EVERY = 1_000;
// With these statuses the server refuses what is in the field. Other errors are not its fault.
const AT_FIELD = [400, 422];
// After these, no other try of the same code can succeed.
const SPENT = ["code_expired", "too_many_tries", "not_verifiable"];

const element = (id) => document.getElementById(id);
const language = document.documentElement.lang;
const texts = document.querySelector("main").dataset;
const numberStep = element("number_step");
const phoneNumber = element("phone_number");
const otp = element("otp");
const confirmation = element("confirm");
const again = element("again");
const outcome = element("outcome");
const inbox = element("inbox");

let isBusy = false;
// The number and the idempotency key of a request that has no answer yet.
let unanswered = null;
// The last send: its ID, and the number as the visitor typed it.
let sent = {};
// Of each button that counts down, how to stop it.
const countdowns = new Map();

async function ask(url, options = {}) {
  const response = await fetch(url, {
    ...options,
    headers: { "Accept-Language": language, ...options.headers },
    signal: AbortSignal.timeout(TIMEOUT),
  });
  const retryAfter = Number(response.headers.get("Retry-After"));
  return { ok: response.ok, status: response.status, retryAfter, body: await response.json() };
}

function post(url, body, headers = {}) {
  const token = numberStep.elements.csrfmiddlewaretoken.value;
  return ask(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token, ...headers },
    body: JSON.stringify(body),
  });
}

// Return the answer as it would be if the request had waited for the worker.
async function waitForWorker(row) {
  while (["queued", "pending"].includes(row.status)) {
    outcome.textContent = row.status === "queued" ? texts.queued : texts.sending;
    await new Promise((resolve) => { setTimeout(resolve, QUEUE_CHECKED_EVERY); });
    row = (await ask(`${numberStep.action}${row.id}/`)).body;
  }
  // Of a failed row only the reason: the names of its fields would be read as those of errors.
  return row.status === "sent" ? { ok: true, body: row } : { body: { detail: row.detail } };
}

async function send() {
  const number = phoneNumber.value;
  if (unanswered?.number !== number) {
    // crypto.randomUUID() is missing if the page does not use HTTPS.
    unanswered = { number, key: crypto.getRandomValues(new Uint32Array(4)).join("-") };
  }
  const body = { phone_number: number, lang: language, purpose: "signup" };
  const answer = await post(numberStep.action, body, { "Idempotency-Key": unanswered.key });
  // Keep the key until an answer arrives, so that a repeated request sends no second SMS. After a
  // 409 keep it too: the first request is still running.
  unanswered = answer.status === 409 ? unanswered : null;
  return answer.status === 202 ? waitForWorker(answer.body) : answer;
}

const verify = () => post(`${numberStep.action}${sent.id}/verify/`, { otp: otp.value });

// Return the number as people read it. The server masks it: any visitor could ask for its rows.
function spell(typed) {
  // Arabic, Persian and full-width digits have their value in their last four bits.
  const ascii = typed.replace(/[٠-٩۰-۹０-９]/g, (digit) => digit.charCodeAt(0) & 15);
  const digits = ascii.replace(/\D/g, "").slice(-10);
  if (digits.length < 10) {
    return typed;
  }
  return `0${digits.slice(0, 2)} ${digits.slice(2, 6)} ${digits.slice(6)}`;
}

function setError(control, ...parts) {
  element(`${control.id}_error`).replaceChildren(...parts);
  if (control.matches("input")) {
    control.ariaInvalid = "false";
  }
}

function clear() {
  [phoneNumber, otp, again].forEach((control) => setError(control));
  outcome.textContent = "";
}

function showStep(id, focused) {
  clear();
  document.querySelectorAll("[data-step]").forEach((step) => { step.hidden = step.id !== id; });
  focused.focus();
}

// Once the code cannot be right any more, the way on is another code or another number.
function setSpent(isSpent) {
  confirmation.hidden = isSpent;
  again.classList.toggle("primary", isSpent);
}

function explain({ status, body, retryAfter }, control) {
  const reason = body[control.name]?.join(" ") ?? body.detail ?? texts.broken;
  const left = body.tries_left === undefined ? "" : ` ${texts.left} ${body.tries_left}`;
  setError(control, ...(retryAfter ? waitParts() : [reason + left]));
  if (control.matches("input")) {
    control.ariaInvalid = String(AT_FIELD.includes(status));
  }
  if (SPENT.includes(body.code) || body.tries_left === 0) {
    setSpent(true);
    again.focus();
  } else {
    control.focus();
    if (control === otp) {
      // What is typed next takes its place.
      otp.select();
    }
  }
}

// The wait in the sentence is counted down, and read out only once.
function waitParts() {
  const [before, after] = texts.wait.split("{time}");
  const time = document.createElement("span");
  time.ariaLive = "off";
  time.className = "time";
  return [before, time, after];
}

function spellTime(seconds) {
  const units = [["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, length] = units.find(([, length]) => seconds > 2 * length) ?? units.at(-1);
  const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" });
  return format.format(Math.ceil(seconds / length));
}

function countDown(button, control, seconds) {
  const label = button.textContent;
  const end = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    button.textContent = texts.again.replace("{time}", spellTime(left));
    element(`${control.id}_error`).querySelectorAll(".time").forEach((time) => {
      time.textContent = spellTime(left);
    });
    if (left <= 0) {
      stopCountdown(button);
      element("spoken").textContent = texts.ready;
    }
  };
  const timer = setInterval(tick, 1000);
  countdowns.set(button, () => {
    clearInterval(timer);
    setError(control);
    button.textContent = label;
    button.ariaDisabled = "false";
    button.removeAttribute("aria-label");
  });
  // Announce the wait once: screen readers would read a changing label every second.
  button.ariaLabel = label;
  button.ariaDisabled = "true";
  tick();
  element("spoken").textContent = button.textContent;
}

function stopCountdown(button) {
  countdowns.get(button)?.();
  countdowns.delete(button);
}

// Not "disabled", which would take the focus away from the button.
function setBusy(button, busy, progress) {
  isBusy = busy;
  button.ariaDisabled = String(busy);
  outcome.textContent = progress;
}

// Return the body of a successful answer. For any other, show the error and return null.
async function press(button, control, request, progress) {
  if (isBusy || button.ariaDisabled === "true") {
    return null;
  }
  clear();
  setBusy(button, true, progress);
  const answer = await request().catch(() => ({ body: {} }));
  setBusy(button, false, "");
  if (answer.ok) {
    return answer.body;
  }
  explain(answer, control);
  if (answer.retryAfter) {
    countDown(button, control, answer.retryAfter);
  }
  return null;
}

async function sendCode(button, control) {
  const otpSend = await press(button, control, send, texts.sending);
  if (otpSend) {
    sent = { id: otpSend.id, number: spell(phoneNumber.value) };
    for (const recipient of document.querySelectorAll("[data-recipient]")) {
      recipient.textContent = sent.number;
    }
    otp.value = "";
    setSpent(false);
    stopCountdown(again);
    showStep("code_step", otp);
    outcome.textContent = texts.sent;
    // Both times are the server's: the visitor's clock may be wrong.
    const wait = new Date(otpSend.resend_at) - new Date(otpSend.settled_at ?? otpSend.created_at);
    if (wait > 0) {
      countDown(again, again, Math.ceil(wait / 1000));
    }
  }
}

// Another code for the same number would be refused now, and the last one may still be typed.
function returnToCode() {
  showStep("code_step", otp);
  outcome.textContent = texts.before;
}

// The second click of a double click may hit what stands there by then.
document.addEventListener("click", (event) => {
  if (event.detail > 1) {
    event.preventDefault();
    event.stopPropagation();
  }
}, { capture: true });

numberStep.addEventListener("submit", (event) => {
  event.preventDefault();
  if (countdowns.has(again) && spell(phoneNumber.value) === sent.number) {
    returnToCode();
  } else {
    sendCode(element("send"), phoneNumber);
  }
});
// The limit may belong to the number that was in the field before.
phoneNumber.addEventListener("input", () => stopCountdown(element("send")));
again.addEventListener("click", () => sendCode(again, again));
element("back").addEventListener("click", () => showStep("number_step", phoneNumber));
element("code_step").addEventListener("submit", async (event) => {
  event.preventDefault();
  const verified = await press(confirmation, otp, verify, texts.checking);
  if (verified) {
    element("verification_token").value = verified.verification_token;
    showStep("done_step", element("done"));
  }
});
// Before this script runs, a click would send the form itself.
element("send").disabled = false;

async function watchSandbox() {
  const answers = fetch(inbox.src, { mode: "no-cors", cache: "no-store" });
  const isUp = await answers.then(() => true, () => false);
  if (isUp && inbox.hidden) {
    inbox.setAttribute("src", inbox.src);
  }
  inbox.hidden = !isUp;
  element("inbox_down").hidden = isUp;
  setTimeout(watchSandbox, SANDBOX_CHECKED_EVERY);
}

if (inbox) {
  watchSandbox();
}
