"use strict";
(() => {
  const root = document.documentElement;
  const said = document.getElementById("said");
  root.classList.add("scripted");

  // navigator.clipboard is missing where a page is not of a secure origin; a selection can be copied anywhere.
  const copySelection = (source) => {
    const selection = getSelection();
    const range = document.createRange();
    range.selectNodeContents(source);
    selection.removeAllRanges();
    selection.addRange(range);
    const done = document.execCommand("copy");
    selection.removeAllRanges();
    return done;
  };
  const copy = async (source) => {
    if (navigator.clipboard && isSecureContext) {
      try {
        await navigator.clipboard.writeText(source.textContent);
        return true;
      } catch {
        // Not permitted: the older way may be.
      }
    }
    return copySelection(source);
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.classList.contains("copy")) {
      const done = await copy(button.parentElement.querySelector("code"));
      said.textContent = done ? "Copied." : "This browser does not copy: select the text.";
      button.classList.toggle("done", done);
      setTimeout(() => {
        button.classList.remove("done");
        said.textContent = "";
      }, 1500);
    } else if (button.dataset.rounds) {
      for (const round of document.querySelectorAll("details.round")) {
        round.open = button.dataset.rounds === "open";
      }
    }
  });

  const openTarget = () => {
    const target = location.hash ? document.getElementById(location.hash.slice(1)) : null;
    for (let at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") at.open = true;
    }
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
})();
