"use strict";
// Show only the field that fits the scope. Without scripts, the form says so itself.
document.addEventListener("DOMContentLoaded", () => {
  const scope = document.getElementById("id_scope");
  if (!scope) {
    return;
  }
  const fields = {
    everything: "confirm",
    number: "number",
    prefix: "first_digits",
    ip_address: "ip_address",
    user: "user",
  };
  const show = () => {
    for (const [value, name] of Object.entries(fields)) {
      const row = document.querySelector(`.field-${name}`);
      row.hidden = value !== scope.value;
      for (const input of row.querySelectorAll("input")) {
        input.disabled = row.hidden;
      }
    }
  };
  scope.addEventListener("change", show);
  show();
});
