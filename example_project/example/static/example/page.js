"use strict";

const form = document.getElementById("send");
const input = document.getElementById("phone_number");
const error = document.getElementById("phone_number_error");
const outcome = document.getElementById("outcome");
const facts = document.getElementById("facts");
const button = form.querySelector("[type=submit]");

function show({ atField = "", below = "", row = null }) {
  error.textContent = atField;
  input.setAttribute("aria-invalid", String(Boolean(atField)));
  outcome.textContent = below;
  facts.hidden = row === null;
  for (const element of facts.querySelectorAll("[data-field]")) {
    element.textContent = row?.[element.dataset.field] ?? "";
  }
  if (atField) {
    input.focus();
  }
}

async function send() {
  const language = document.documentElement.lang;
  const response = await fetch(form.action, {
    method: "POST",
    headers: {
      "Accept-Language": language,
      "Content-Type": "application/json",
      "X-CSRFToken": form.elements.csrfmiddlewaretoken.value,
    },
    body: JSON.stringify({ phone_number: input.value, lang: language }),
  });
  const answer = await response.json();
  if (response.ok) {
    show({ below: form.dataset.sent, row: answer });
  } else if (answer.phone_number) {
    show({ atField: answer.phone_number.join(" ") });
  } else {
    show({ below: answer.detail });
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  // Not "disabled", which would take the focus away from who pressed it.
  if (button.getAttribute("aria-disabled") === "true") {
    return;
  }
  button.setAttribute("aria-disabled", "true");
  show({ below: form.dataset.sending });
  try {
    await send();
  } catch {
    show({ below: form.dataset.broken });
  }
  button.removeAttribute("aria-disabled");
});
