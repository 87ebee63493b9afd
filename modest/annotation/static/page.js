// The task page: keys and buttons become answers. Answers wait in `outbox` until the server has them on its disk; they
// survive a reload in sessionStorage, and carry a key, so that sending one twice keeps it once.
"use strict";

const work = document.getElementById("work");
if (work) {
  const part = (name) => document.getElementById(name);
  const stage = part("stage"), ahead = part("ahead"), filter = part("filter");
  const csrf = document.querySelector("meta[name=csrf]").content;
  const box = "modest " + work.dataset.annotator + " " + work.dataset.box;
  const done = new Set(); // tasks answered here, which the server may hand out again before it has heard
  const given = new Map(); // what was said here, to mark it when it is taken back
  let outbox = [], sending = false, moving = false, shownAt = 0, away = 0, hiddenAt = 0, searched = 0, soon = 0, turn = 0;

  const task = () => stage.querySelector(".task");
  const number = (article) => Number(article.dataset.task);
  const pair = () => work.dataset.kind === "pair";
  const multiple = () => Boolean(task() && task().dataset.multiple);

  const nonce = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  // ---- talking to the server

  async function ask(path, body) {
    const options = { headers: { "X-CSRF-Token": csrf }, cache: "no-store" };
    if (body !== undefined) {
      options.method = "POST";
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    const response = await fetch(path, options);
    const told = await response.json().catch(() => ({}));
    if (response.ok) return told;
    const error = new Error(told.error || "The server answers " + response.status + ".");
    error.status = response.status;
    throw error;
  }

  function complain(text, reload) {
    const line = part("problem");
    line.textContent = text || "";
    line.hidden = !text;
    if (text && reload) {
      const link = document.createElement("a");
      link.href = "/";
      link.textContent = " Load the page again";
      line.append(link);
    }
  }

  function keep() {
    work.dataset.unsaved = outbox.length;
    try { sessionStorage.setItem(box, JSON.stringify(outbox)); } catch { /* a browser without storage */ }
    const line = part("saved");
    line.dataset.state = outbox.length ? "waits" : "kept";
    line.textContent = outbox.length ? "saving " + outbox.length + " …" : "saved";
  }

  async function send() {
    if (sending) return;
    sending = true;
    let wait = 500;
    while (outbox.length) {
      try {
        await ask("/api/answer", outbox[0]);
        outbox.shift();
        keep();
        complain("");
        wait = 500;
      } catch (error) {
        if (error.status === 401 || error.status === 403) {
          complain(error.message + " What you answered waits here.", true);
          break;
        }
        if (error.status && error.status < 500) { // this answer can never be kept
          done.delete(outbox.shift().task);
          keep();
          complain(error.message);
          continue;
        }
        complain("Not saved yet: " + (error.status ? error.message : "the server cannot be reached.") + " Trying again.");
        await new Promise((resolve) => setTimeout(resolve, wait));
        wait = Math.min(2 * wait, 8000);
      }
    }
    sending = false;
    await refill();
  }

  async function refill() {
    const asked = ++turn;
    try {
      const told = await ask("/api/next?known=" + work.dataset.classes);
      if (asked === turn) take(told);
    } catch (error) {
      if (error.status === 401 || error.status === 403) complain(error.message, true);
      else if (!outbox.length) complain(error.status ? error.message : "The server cannot be reached.");
    }
  }

  function take(told) {
    news(told);
    const held = task() ? number(task()) : 0;
    const fresh = told.tasks.filter((one) => !done.has(one.number) && one.number !== held);
    const known = [...ahead.children].map(number);
    if (String(fresh.map((one) => one.number)) !== String(known)) {
      ahead.innerHTML = fresh.map((one) => one.html).join("");
    }
    if (!task()) show(ahead.firstElementChild);
  }

  function news(told) {
    const state = told.progress;
    part("bar").max = state.total || 1;
    part("bar").value = state.done;
    part("words").textContent = state.words;
    part("agreement").hidden = !state.agreement;
    if (state.agreement) part("agreement").textContent = "annotators agree on " + Math.round(100 * state.agreement.share) + " %";
    if (told.classes) {
      part("classes").innerHTML = told.classes.html;
      part("no-class").hidden = told.classes.count > 0;
      work.dataset.classes = told.classes.count;
      narrow();
    }
  }

  // ---- one task after the other

  function show(article, was) {
    stage.replaceChildren();
    if (article) stage.append(article);
    ready(was);
  }

  function ready(was) {
    const article = task();
    const focused = document.activeElement;
    work.dataset.state = article ? "ready" : outbox.length || sending ? "waiting" : "empty";
    work.dataset.task = article ? article.dataset.task : "";
    if (work.dataset.state !== "waiting") work.dataset.kind = article ? article.dataset.kind : "";
    part("empty").hidden = work.dataset.state !== "empty";
    filter.value = "";
    narrow();
    for (const button of work.querySelectorAll("[data-was]")) delete button.dataset.was;
    if (was) for (const button of answers()) if (was.includes(worth(button))) button.dataset.was = "";
    marked();
    shownAt = performance.now();
    away = 0;
    if (!article) {
      if (work.dataset.state === "empty") { part("empty").focus(); part("live").textContent = "Nothing is left for you."; }
      return;
    }
    if (focused === filter || focused === document.body || !document.contains(focused)) stage.focus({ preventScroll: true });
    if (matchMedia("(max-width: 860px)").matches) window.scrollTo(0, 0);
    const title = pair() ? article.querySelector("h2").textContent : part("question").textContent;
    part("live").textContent = article.querySelector(".order").textContent + ". " + title;
  }

  function say(verdict, value, button) {
    const article = task();
    if (!article || moving) return;
    if (button) {
      button.classList.add("pressed");
      setTimeout(() => button.classList.remove("pressed"), 160);
    }
    const now = performance.now(), seconds = Math.max(0, (now - shownAt - away) / 1000);
    outbox.push({ task: number(article), verdict, value, seconds: Math.round(1000 * seconds) / 1000, key: nonce() });
    done.add(number(article));
    given.set(number(article), value);
    keep();
    show(ahead.firstElementChild);
    send();
  }

  async function undo() {
    if (moving) return;
    moving = true;
    try {
      for (let wait = 0; outbox.length && wait < 100; wait++) await new Promise((resolve) => setTimeout(resolve, 30));
      if (outbox.length) throw Object.assign(new Error("What you answered is not saved yet."), { status: 409 });
      const told = await ask("/api/undo", { key: nonce() });
      turn++; // what was asked for before is out of date
      news(told);
      if (told.task) {
        done.delete(told.task.number);
        const before = task();
        if (before) ahead.prepend(before);
        const holder = document.createElement("template");
        holder.innerHTML = told.task.html;
        show(holder.content.firstElementChild, given.get(told.task.number));
        part("live").textContent = "Taken back. " + part("live").textContent;
      } else {
        part("live").textContent = "There is nothing to undo.";
        part("saved").textContent = "nothing to undo";
      }
    } catch (error) {
      complain(error.status ? error.message : "The server cannot be reached.", error.status === 401 || error.status === 403);
    }
    moving = false;
  }

  // ---- classes

  const buttons = () => [...part("classes").querySelectorAll(".class")];
  const typed = () => filter.value.trim().replace(/\s+/g, " ");

  function narrow() {
    const text = typed().toLowerCase();
    let first = true;
    for (const button of buttons()) {
      button.hidden = !button.dataset.class.toLowerCase().includes(text);
      delete button.dataset.first;
      if (text && first && !button.hidden) { button.dataset.first = ""; first = false; }
    }
    const fresh = part("new-class");
    fresh.hidden = !text || buttons().some((button) => button.dataset.class === typed());
    fresh.querySelector("b").textContent = "“" + typed() + "”";
  }

  async function newClass() {
    const name = typed();
    if (!name || moving) return;
    moving = true;
    try {
      const told = await ask("/api/class", { name });
      moving = false;
      news(told);
      say("label", [told.name], null);
    } catch (error) {
      complain(error.status ? error.message : "The server cannot be reached.");
    }
    moving = false;
  }

  // ---- pairs

  const answers = () => [...(pair() ? stage : part("classes")).querySelectorAll(pair() ? ".choose" : ".class")];
  const worth = (button) => button.dataset.partner ?? button.dataset.class;
  const chosen = () => [...stage.querySelectorAll(".choose[aria-pressed=true]")].map((button) => button.dataset.partner);

  function marked() {
    const some = pair() && multiple();
    part("confirm").hidden = !some;
    part("confirm").disabled = !some || !chosen().length;
    for (const card of stage.querySelectorAll(".candidate")) {
      card.toggleAttribute("data-chosen", card.querySelector(".choose").getAttribute("aria-pressed") === "true");
    }
  }

  function choose(button) {
    if (!multiple()) return say("match", [button.dataset.partner], button);
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    marked();
  }

  async function search(more) {
    const field = stage.querySelector("[name=search]"), list = stage.querySelector(".results");
    const again = stage.querySelector(".more"), article = task();
    const asked = ++searched, text = field.value.trim();
    const query = new URLSearchParams({ text, target: article.dataset.target, near: article.dataset.id,
      round: article.dataset.round });
    if (more) query.set("after", again.dataset.after);
    try {
      const told = await ask("/api/search?" + query);
      if (asked !== searched || article !== task()) return;
      list.dataset.text = text;
      const kept = more ? [] : [...list.children].filter((card) => card.hasAttribute("data-chosen"));
      if (!more) list.replaceChildren(...kept);
      list.insertAdjacentHTML("beforeend", told.html);
      again.hidden = !told.more;
      again.dataset.after = told.more;
      const count = list.children.length;
      part("live").textContent = text ? count + (count === 1 ? " item found" : " items found") : "";
    } catch (error) {
      complain(error.status ? error.message : "The server cannot be reached.");
    }
  }

  // Enter takes the first one found; one that has not been seen yet only if it is what was typed, to the letter
  async function pick(text) {
    const article = task(), list = stage.querySelector(".results");
    const seen = list.dataset.text === text;
    clearTimeout(soon);
    if (!seen) await search(false);
    const first = list.querySelector(".choose");
    if (!first || article !== task()) return;
    if (seen || first.dataset.partner === text) choose(first); else first.focus();
  }

  // ---- hands

  function play() {
    const medium = stage.querySelector("audio, video");
    if (!medium) return false;
    if (medium.paused) medium.play().catch(() => {}); else medium.pause();
    return true;
  }

  function inField(event) {
    if (event.key === "Escape") {
      event.target.value = "";
      if (event.target === filter) narrow();
      stage.focus({ preventScroll: true });
    } else if (event.key === "Enter" && event.target === filter) {
      event.preventDefault();
      const first = part("classes").querySelector("[data-first]");
      if (event.shiftKey || filter.dataset.fresh) newClass();
      else if (first) say("label", [first.dataset.class], first);
      else if (!part("new-class").hidden) part("new-class").focus();
    } else if (event.key === "Enter" && event.target.name === "search") {
      event.preventDefault();
      pick(event.target.value.trim());
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input")) return inField(event);
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
    const native = event.target.closest("button, a, audio, video");
    if (native && (event.key === "Enter" || event.key === " ")) return;
    if (native && native.matches("audio, video") && event.key.startsWith("Arrow")) return;
    const field = pair() ? stage.querySelector("[name=search]") : filter;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "h") location.href = "/help";
    else if (key === "u" || key === "Backspace") undo();
    else if (key === " ") { if (!play()) return; }
    else if (!task()) return;
    else if (key === "/" || (key === "n" && !pair())) {
      filter.dataset.fresh = key === "n" ? "1" : "";
      field.focus();
    } else {
      const found = [...answers(), part("none"), part("unsure"), part("skip"), part("confirm")];
      const button = found.find((one) => one.dataset.key === key && one.getClientRects().length && !one.disabled);
      if (!button) return;
      button.click();
    }
    event.preventDefault();
  });

  filter.addEventListener("input", narrow);
  filter.addEventListener("blur", () => { filter.dataset.fresh = ""; });
  part("none").addEventListener("click", (event) => say("none", [], event.currentTarget));
  part("unsure").addEventListener("click", (event) => say("unsure", [], event.currentTarget));
  part("skip").addEventListener("click", (event) => say("skip", [], event.currentTarget));
  part("confirm").addEventListener("click", () => say("match", chosen(), null));
  part("undo").addEventListener("click", undo);
  part("undo-last").addEventListener("click", undo);
  part("new-class").addEventListener("click", newClass);
  part("classes").addEventListener("click", (event) => {
    const button = event.target.closest(".class");
    if (button) say("label", [button.dataset.class], button);
  });
  stage.addEventListener("input", (event) => {
    if (event.target.name !== "search") return;
    clearTimeout(soon);
    soon = setTimeout(search, 180, false);
  });
  stage.addEventListener("submit", (event) => event.preventDefault());
  stage.addEventListener("click", (event) => {
    if (event.target.closest(".more")) return void search(true);
    if (event.target.closest("a, audio, video")) return;
    const card = event.target.closest(".candidate");
    if (card && (event.target.closest("button") || !String(getSelection()))) choose(card.querySelector(".choose"));
  });
  // media that fail say why
  stage.addEventListener("error", async (event) => {
    const medium = event.target, place = medium.src;
    if (!medium.matches("img, audio, video") || medium.alt === "") return;
    const told = await fetch(place.split("#")[0], { headers: { Range: "bytes=0-0" } }).then((r) => (r.ok ? {} : r.json())).catch(() => ({}));
    const line = document.createElement("p");
    line.className = "problem";
    line.textContent = told.error || "This browser cannot show this kind of file.";
    medium.replaceWith(line);
  }, true);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenAt = performance.now();
    else { away += performance.now() - hiddenAt; if (!task()) refill(); }
  });
  window.addEventListener("beforeunload", (event) => { if (outbox.length) event.preventDefault(); });
  // what is on show stays ours, and what others leave is found
  setInterval(() => { if (!document.hidden && task()) refill(); }, Math.max(5000, 400 * Number(work.dataset.lease)));
  setInterval(() => { if (!document.hidden && !task() && !sending) refill(); }, 5000);

  try { outbox = JSON.parse(sessionStorage.getItem(box) || "[]"); } catch { outbox = []; }
  for (const one of outbox) done.add(one.task);
  if (task() && done.has(number(task()))) stage.replaceChildren();
  if (task()) ready(); else show([...ahead.children].find((one) => !done.has(number(one))));
  if (outbox.length) { keep(); send(); }
}
