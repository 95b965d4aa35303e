const entry = document.querySelector("[data-otp-entry]");
const texts = entry.dataset;
const tab = sessionStorage;
const {
  phone_number: number, otp, send, confirm, again, back, recipient, wait, outcome,
} = entry.elements;
let isBusy, key, sent, end;

function ask(path, body) {
  return fetch(entry.action + path, {
    method: body && "POST",
    headers: {
      "Accept-Language": texts.lang,
      "Content-Type": "application/json",
      "Idempotency-Key": key ??= crypto.getRandomValues(new Uint32Array(4)).join("-"),
      "X-CSRFToken": texts.csrf,
    },
    body: JSON.stringify(body),
  }).then((response) => response.json());
}

async function settle(row) {
  while (/queued|pending/.test(row.status)) {
    tab.otpSend = row.id;
    outcome.value = texts[row.status];
    await new Promise((resolve) => { setTimeout(resolve, 1000); });
    row = await ask(`${row.id}/`);
  }
  return row;
}

async function requestCode() {
  const row = await ask("", { phone_number: number.value, purpose: texts.purpose });
  // Without an answer, the same key prevents a second SMS.
  key = row.code === "idempotency_conflict" ? key : null;
  return settle(row);
}

function show(field, text) {
  field.nextElementSibling.value = "";
  field.ariaInvalid = false;
  number.parentElement.hidden = field === otp;
  otp.parentElement.hidden = field === number;
  field.focus();
  outcome.value = text;
}

function enterCode(row) {
  sent = tab.otpSend = row.id;
  recipient.value = number.value || row.phone_number;
  otp.value = "";
  confirm.hidden = false;
  // The server's times: the visitor's clock may be wrong.
  end = tab[sent] ??= Date.now() + (new Date(row.resend_at) - new Date(row.settled_at));
  again.ariaDisabled = true;
  tick();
  show(otp, texts.sent);
}

function tick() {
  const left = end - Date.now();
  if (left > 0) {
    wait.value = texts.again + new Date(left).toISOString().slice(left < 36e5 ? 14 : 11, 19);
  } else if (again.ariaDisabled && !isBusy) {
    again.ariaDisabled = null;
    wait.value = "";
    outcome.value = texts.ready;
  }
}

function finish(detail) {
  delete tab.otpSend;
  entry.hidden = true;
  entry.dispatchEvent(new CustomEvent("otp-verified", { bubbles: true, detail }));
}

function explain(field, { code = "", detail, tries_left: left, ...errors }) {
  show(field, "");
  const reason = detail ?? Object.values(errors).join(" ");
  field.nextElementSibling.value = left >= 0 ? `${reason} ${texts.left} ${left}` : reason;
  field.ariaInvalid = !detail || code.endsWith("rejected");
  field.select();
  if (left === 0 || /code_expired|too_many_tries|not_verifiable/.test(code)) {
    confirm.hidden = true;
    again.focus();
  }
}

async function press(field, text, request) {
  if (isBusy) {
    return;
  }
  isBusy = true;
  field.nextElementSibling.value = "";
  outcome.value = text;
  const answer = await request().catch(() => ({ detail: texts.broken }));
  isBusy = false;
  outcome.value = "";
  if (answer.verified) {
    finish(answer);
  } else if (answer.status === "sent") {
    enterCode(answer);
  } else {
    explain(field, answer);
  }
}

entry.onsubmit = () => {
  if (number.parentElement.hidden) {
    press(otp, texts.checking, () => ask(`${sent}/verify/`, { otp: otp.value }));
  } else if (end > Date.now()) {
    show(otp, texts.before);
  } else {
    press(number, texts.pending, requestCode);
  }
  return false;
};
// A double click may hit the next button.
entry.onclick = ({ detail }) => detail < 2;
number.oninput = () => {
  key = end = again.ariaDisabled = null;
  delete tab.otpSend;
};
back.onclick = () => show(number, "");
again.onclick = () => {
  if (!again.ariaDisabled) {
    press(number.value ? otp : number, texts.pending, requestCode);
  }
};
setInterval(tick, 1000);
if (tab.otpSend) {
  const row = await ask(`${tab.otpSend}/`).then(settle).catch(() => ({}));
  if (row.status === "sent" && !row.verified_at && row.purpose == texts.purpose) {
    enterCode(row);
  }
}
send.disabled = false;
