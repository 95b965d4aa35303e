// Replace only what has changed, so that a text selection is kept.
const update = (page) => {
  for (const id of ["summary", "messages"]) {
    const [fresh, shown] = [page, document].map((found) => found.getElementById(id));
    if (fresh.innerHTML !== shown.innerHTML) shown.replaceChildren(...fresh.childNodes);
  }
};

const down = document.getElementById("down");
const refresh = async () => {
  try {
    const response = await fetch(location.href);
    update(new DOMParser().parseFromString(await response.text(), "text/html"));
    down.textContent = "";
  } catch {
    // Perhaps the sandbox restarts: keep the last messages.
    down.textContent = down.dataset.text;
  }
  setTimeout(refresh, 1000);
};
setTimeout(refresh, 1000);
