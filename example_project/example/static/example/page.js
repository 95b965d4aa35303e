"use strict";

const TIMEOUT = 60_000;
// Statuses that refuse what stands in the field; others are no fault of whoever typed it.
const AT_FIELD = [422, 429];

const element = (id) => document.getElementById(id);
const language = document.documentElement.lang;
const texts = document.querySelector("main").dataset;
const numberStep = element("number_step");
const phoneNumber = element("phone_number");
const otp = element("otp");
const again = element("again");
const outcome = element("outcome");

let isBusy = false;
let wish = null;
let sendId = null;
let stopCountdown = () => {};

async function post(url, body, headers = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "Accept-Language": language,
      "Content-Type": "application/json",
      "X-CSRFToken": numberStep.elements.csrfmiddlewaretoken.value,
      ...headers,
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT),
  });
  const retryAfter = Number(response.headers.get("Retry-After"));
  return { ok: response.ok, status: response.status, retryAfter, body: await response.json() };
}

async function send() {
  const number = phoneNumber.value;
  if (wish?.number !== number) {
    // Not crypto.randomUUID(), which is missing where the page does not come over HTTPS.
    wish = { number, key: crypto.getRandomValues(new Uint32Array(4)).join("-") };
  }
  const body = { phone_number: number, lang: language, purpose: "signup" };
  const answer = await post(numberStep.action, body, { "Idempotency-Key": wish.key });
  // The key stays until there is an answer, so that trying again sends no second SMS. A conflict
  // is none: the request that broke is still under way.
  wish = answer.status === 409 ? wish : null;
  return answer;
}

const verify = () => post(`${numberStep.action}${sendId}/verify/`, { otp: otp.value });

function setError(control, text) {
  element(`${control.id}_error`).textContent = text;
  if (control.matches("input")) {
    control.ariaInvalid = String(text !== "");
  }
}

function clear() {
  [phoneNumber, otp, again].forEach((control) => setError(control, ""));
  outcome.textContent = "";
}

function showStep(id, focused) {
  stopCountdown();
  clear();
  document.querySelectorAll("[data-step]").forEach((step) => { step.hidden = step.id !== id; });
  focused.focus();
}

function explain({ status, body }, control) {
  const reason = body[control.name]?.join(" ") ?? (AT_FIELD.includes(status) && body.detail);
  if (reason) {
    setError(control, reason);
    control.focus();
  } else {
    outcome.textContent = body.detail ?? texts.broken;
  }
}

function wait(seconds) {
  const units = [["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, length] = units.find(([, length]) => seconds > 2 * length) ?? units.at(-1);
  const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" });
  return texts.wait.replace("{time}", format.format(Math.ceil(seconds / length)));
}

function countDown(button, control, seconds) {
  const label = button.textContent;
  const end = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    button.textContent = wait(left);
    if (left <= 0) {
      stopCountdown();
      element("spoken").textContent = texts.ready;
    }
  };
  const timer = setInterval(tick, 1000);
  stopCountdown = () => {
    stopCountdown = () => {};
    clearInterval(timer);
    setError(control, "");
    button.textContent = label;
    button.ariaDisabled = "false";
    button.removeAttribute("aria-label");
  };
  tick();
  button.ariaDisabled = "true";
  // The wait is said once: a name that changed would be read out every second.
  button.ariaLabel = label;
  element("spoken").textContent = wait(seconds);
}

// Not "disabled", which would take the focus away from who pressed it.
function setBusy(button, busy, progress) {
  isBusy = busy;
  button.ariaDisabled = String(busy);
  outcome.textContent = progress;
}

// The body of a good answer; of any other one null, and the page says why.
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
    sendId = otpSend.id;
    for (const recipient of document.querySelectorAll("[data-recipient]")) {
      recipient.textContent = otpSend.phone_number;
    }
    otp.value = "";
    showStep("code_step", otp);
    outcome.textContent = texts.sent;
  }
}

numberStep.addEventListener("submit", (event) => {
  event.preventDefault();
  sendCode(element("send"), phoneNumber);
});
// The limit may be that of the number which stood there.
phoneNumber.addEventListener("input", () => stopCountdown());
again.addEventListener("click", () => sendCode(again, again));
element("back").addEventListener("click", () => showStep("number_step", phoneNumber));
element("code_step").addEventListener("submit", async (event) => {
  event.preventDefault();
  // A site would hand its verification_token to the view that makes the account.
  if (await press(element("confirm"), otp, verify, texts.checking)) {
    showStep("done_step", element("done"));
  }
});
