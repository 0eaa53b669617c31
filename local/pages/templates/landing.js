
// Shows what has changed, without a reload: what somebody has typed, opened or focused stays as it is.
(() => {
  const EVERY = 1500;
  let shown = document.querySelector("[data-state]").dataset.state;

  // Of each entry of a list that has a key: the text with which the server last described it.
  const described = new Map();
  const note = (live) => {
    for (const entry of live.querySelectorAll("[data-key]")) {
      described.set(live.dataset.live + entry.dataset.key, entry.outerHTML);
    }
  };

  const isOpen = (entry) => entry.querySelector("details")?.open;

  const replaceEntry = (old, entry) => {
    const button = old.contains(document.activeElement) ? document.activeElement.textContent : null;
    if (isOpen(old)) entry.querySelector("details").open = true;
    old.replaceWith(entry);
    const same = [...entry.querySelectorAll("button")].find((each) => each.textContent === button);
    same?.focus();
  };

  const replaceEntries = (live, fresh) => {
    const list = live.querySelector("ul, ol");
    const entries = [...fresh.querySelectorAll("[data-key]")];
    const known = new Map([...list.children].map((entry) => [entry.dataset.key, entry]));
    const keys = new Set(entries.map((entry) => entry.dataset.key));
    for (const [key, entry] of known) {
      if (!keys.has(key)) entry.remove();
    }
    entries.forEach((entry, place) => {
      const name = live.dataset.live + entry.dataset.key;
      const old = known.get(entry.dataset.key);
      const text = entry.outerHTML;
      if (!old) list.insertBefore(entry, list.children[place] ?? null);
      else if (described.get(name) !== text) replaceEntry(old, entry);
      described.set(name, text);
    });
  };

  const replace = (live, fresh) => {
    const areLists = live.querySelector("[data-key]") && fresh.querySelector("[data-key]");
    if (areLists) replaceEntries(live, fresh);
    else if (live.innerHTML !== fresh.innerHTML) {
      live.innerHTML = fresh.innerHTML;
      note(live);
    }
  };

  const look = async () => {
    try {
      const { state } = await (await fetch("/_local/state")).json();
      if (state !== shown) {
        const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
        for (const live of document.querySelectorAll("[data-live]")) {
          replace(live, page.querySelector(`[data-live="${live.dataset.live}"]`));
        }
      }
      shown = state;
    } catch {
      shown = ""; // the stack has stopped; when it is back, everything is new
    }
    setTimeout(look, EVERY);
  };

  document.querySelectorAll("[data-live]").forEach(note);
  look();
})();
