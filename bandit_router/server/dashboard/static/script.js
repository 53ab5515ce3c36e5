// Tooltips at once, and fresh figures every minute. Every page works without this.
"use strict";

const REFRESH_MS = 60_000;

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);

function showTip(mark) {
  const title = mark.querySelector("title");
  if (title) {
    mark.dataset.note = title.textContent; // the browser would show its own, late
    title.remove();
  }
  tip.textContent = mark.dataset.note;
  tip.hidden = false;
  const box = mark.getBoundingClientRect();
  const middle = box.left + box.width / 2 - tip.offsetWidth / 2;
  const left = Math.max(8, Math.min(middle, document.documentElement.clientWidth - tip.offsetWidth - 8));
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${box.top + window.scrollY - tip.offsetHeight - 8}px`;
}

document.addEventListener("pointerover", (event) => {
  const mark = event.target.closest?.(".hit, .plot circle, .square circle");
  if (mark) showTip(mark);
  else tip.hidden = true;
});

function isBusy() {
  const focused = document.activeElement;
  const inForm = focused && focused.closest("form");
  return document.hidden || inForm || document.querySelector("details[open]");
}

async function refresh() {
  if (isBusy()) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected || isBusy()) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = page.querySelector("main");
  if (main) document.querySelector("main").replaceWith(document.adoptNode(main));
  tip.hidden = true;
}

if (document.querySelector("main[data-refresh]")) {
  setInterval(() => refresh().catch(() => {}), REFRESH_MS);
}
