"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const narrow = matchMedia("(max-width: 860px)");

  // Light or dark: what the system says, until somebody chooses.
  $("#theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("parity-theme", root.dataset.theme); } catch (e) { /* private window */ }
  });

  const menu = $(".menu");
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });

  search();
  if ($("#filter")) filter();
  if ($(".pairs")) pairs();

  function search() {
    const input = $("#search");
    const list = $("#results");
    let found = [];
    let at = -1;

    // People forget the underscores.
    const squash = (name) => name.replace(/[^a-z0-9]/g, "") || name;
    const score = (label, detail, words) => {
      let sum = 0;
      for (const word of words) {
        const place = label.indexOf(word);
        if (place === 0) sum += label.length === word.length ? 0 : 1;
        else if (place > 0) sum += /[a-z0-9]/.test(label[place - 1]) ? 4 : 2;
        else if (squash(label).includes(squash(word))) sum += 5;
        else if (detail.includes(word)) sum += 8;
        else return -1;
      }
      return sum;
    };
    const line = (query) => {
      const parts = /^(?:([\w.]+\.[ch])[:\s#]*)?l?(\d+)$/i.exec(query);
      if (!parts) return [];
      const files = (window.PARITY_SEARCH || []).filter(([kind]) => kind === "file");
      const here = location.pathname.split("/").pop();
      return files
        .filter((file) => (parts[1] ? file[1] === parts[1].toLowerCase() : file[3] === here))
        .map((file) => ["line", `Line ${parts[2]}`, file[2], `${file[3]}#L${parts[2]}`, ""]);
    };
    const look = () => {
      const query = input.value.trim().toLowerCase();
      const words = query.split(/\s+/).filter(Boolean);
      if (!words.length) return close();
      const ranked = (window.PARITY_SEARCH || [])
        .map((entry) => [score(entry[1].toLowerCase(), entry[2].toLowerCase(), words), entry])
        .filter(([points]) => points >= 0)
        .sort((a, b) => a[0] - b[0] || a[1][1].length - b[1][1].length);
      found = [...line(query), ...ranked.map(([, entry]) => entry)].slice(0, 14);
      list.replaceChildren(...(found.length ? found.map(option) : [nothing()]));
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
      choose(found.length ? 0 : -1);
    };
    const option = ([kind, label, detail, , status], number) => {
      const item = document.createElement("li");
      item.id = `result-${number}`;
      item.role = "option";
      const name = document.createElement("b");
      name.textContent = label;
      const more = document.createElement("span");
      const kinds = { c: "C", rust: "Rust", file: "File", deviation: "Deviation", line: "Line" };
      more.textContent = [kinds[kind], detail, status].filter(Boolean).join(" · ");
      item.append(name, more);
      item.addEventListener("mousedown", (event) => event.preventDefault());
      item.addEventListener("click", () => go(number));
      item.addEventListener("mousemove", () => choose(number));
      return item;
    };
    const nothing = () => {
      const item = document.createElement("li");
      item.className = "none";
      item.textContent = "Nothing found";
      return item;
    };
    const choose = (number) => {
      at = number;
      for (const [index, item] of [...list.children].entries()) {
        const chosen = index === at;
        item.setAttribute("aria-selected", String(chosen));
        if (chosen) item.scrollIntoView({ block: "nearest" });
      }
      if (at >= 0) input.setAttribute("aria-activedescendant", `result-${at}`);
      else input.removeAttribute("aria-activedescendant");
    };
    const go = (number) => {
      const entry = found[number];
      if (!entry) return;
      close();
      input.value = "";
      input.blur();
      location.href = entry[3];
    };
    const close = () => {
      list.hidden = true;
      found = [];
      input.setAttribute("aria-expanded", "false");
    };
    input.addEventListener("input", look);
    input.addEventListener("focus", look);
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      const steps = { ArrowDown: 1, ArrowUp: -1 };
      if (event.key in steps && found.length) {
        choose((at + steps[event.key] + found.length) % found.length);
      } else if (event.key === "Enter") {
        go(at);
      } else if (event.key === "Escape") {
        input.value = "";
        close();
        input.blur();
      } else {
        return;
      }
      event.preventDefault();
      event.stopPropagation();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !typing(event) && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        input.focus();
      }
    });
  }

  function typing(event) {
    return event.target.closest("input, select, textarea") !== null;
  }

  function filter() {
    const rows = $$("#rows tbody tr");
    const buttons = $$("#filter [data-status]");
    const file = $("#filter-file");
    const text = $("#filter-text");
    let status = "";
    const apply = () => {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const fits = status === "deviation"
          ? row.hasAttribute("data-deviation")
          : !status || row.dataset.status === status;
        const visible = fits
          && (!file.value || row.dataset.file === file.value)
          && words.every((word) => row.textContent.toLowerCase().includes(word));
        row.hidden = !visible;
        shown += visible;
      }
      for (const button of buttons) {
        button.setAttribute("aria-pressed", String(button.dataset.status === status));
      }
      $("#filter-count").textContent = `${shown} of ${rows.length}`;
      $("#filter-empty").hidden = shown > 0;
      const hash = status ? `#${status}` : "";
      if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname);
    };
    for (const button of buttons) {
      button.addEventListener("click", () => { status = button.dataset.status; apply(); });
    }
    file.addEventListener("change", apply);
    text.addEventListener("input", apply);
    $("#filter").addEventListener("submit", (event) => event.preventDefault());
    const wanted = location.hash.slice(1);
    if (wanted && buttons.some((button) => button.dataset.status === wanted)) {
      status = wanted;
      apply();
    }
  }

  function pairs() {
    /** Everything that is about a block: C rows, Rust rows, a card of the ledger. */
    const members = new Map();
    for (const element of $$("[data-b]")) {
      for (const block of element.dataset.b.split(" ")) {
        if (!members.has(block)) members.set(block, []);
        members.get(block).push(element);
      }
    }
    const paths = new Map();
    let hot = [];
    let pinned = [];

    const blocksOf = (target) => {
      const element = target instanceof Element ? target.closest("[data-b]") : null;
      return element ? element.dataset.b.split(" ") : [];
    };
    const mark = (name, before, after) => {
      for (const [blocks, on] of [[before, false], [after, true]]) {
        for (const block of blocks) {
          for (const element of members.get(block) || []) element.classList.toggle(name, on);
          for (const path of paths.get(block) || []) path.classList.toggle(name, on);
        }
      }
      return after;
    };
    const heat = (blocks) => {
      if (String(blocks) !== String(hot)) hot = mark("hot", hot, blocks);
    };
    const pin = (blocks) => { pinned = mark("pin", pinned, blocks); };
    const onLeft = (element) => element.closest(".left") !== null;
    const partner = (element) => {
      const left = onLeft(element);
      for (const block of element.dataset.b.split(" ")) {
        const other = (members.get(block) || []).find((member) => onLeft(member) !== left);
        if (other) return other;
      }
      return null;
    };
    const show = (element, block) => {
      const details = element.closest("details.card");
      if (details) details.open = true;
      element.scrollIntoView({ block, behavior: calm ? "auto" : "smooth" });
    };
    const isVisible = (element) => {
      const { top, bottom } = element.getBoundingClientRect();
      return top >= 60 && bottom <= innerHeight - 20;
    };

    const main = $(".pairs");
    main.addEventListener("pointerover", (event) => {
      if (event.pointerType !== "touch") heat(blocksOf(event.target));
    });
    main.addEventListener("pointerleave", () => heat([]));
    main.addEventListener("focusin", (event) => heat(blocksOf(event.target)));
    main.addEventListener("focusout", () => heat([]));
    main.addEventListener("click", (event) => {
      const more = event.target.closest(".more");
      if (more) {
        const folded = more.closest(".row").nextElementSibling;
        folded.hidden = !folded.hidden;
        more.setAttribute("aria-expanded", String(!folded.hidden));
        return;
      }
      if (event.target.closest("a:not(.no), summary, .deviation")) return;
      const element = event.target.closest("[data-b]");
      if (!element || String(getSelection())) return;
      event.preventDefault();
      take(element);
    });

    /** Pins the blocks of a row, brings the other side into sight and names the line in the address. */
    const take = (element) => {
      const blocks = element.dataset.b.split(" ");
      if (String(blocks) === String(pinned)) return letGo();
      pin(blocks);
      const line = onLeft(element) ? element : partner(element);
      if (line && line.id) history.replaceState(null, "", `#${line.id}`);
      const other = partner(element);
      const card = other && other.closest("details.card");
      if (card && !card.open) card.open = true;
      if (other && !isVisible(other)) show(other, narrow.matches ? "center" : "nearest");
    };
    const letGo = () => {
      pin([]);
      if (location.hash.startsWith("#L")) history.replaceState(null, "", location.pathname);
    };

    const arrive = () => {
      const id = decodeURIComponent(location.hash.slice(1));
      const target = id && document.getElementById(id);
      if (!target || !target.closest(".pair")) return;
      if (target.matches(".row")) {
        pin(target.dataset.b ? target.dataset.b.split(" ") : []);
        target.scrollIntoView({ block: "center" });
      } else if (target.matches("details")) {
        target.open = true;
        target.scrollIntoView({ block: "start" });
      }
    };
    addEventListener("hashchange", arrive);

    document.addEventListener("keydown", (event) => {
      if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") {
        letGo();
      } else if (event.key === "j" || event.key === "k") {
        step(event.key === "j" ? 1 : -1);
      } else if (event.key === "o") {
        const element = document.activeElement.closest("[data-b]") || (members.get(pinned[0]) || [])[0];
        const other = element && partner(element);
        if (other) {
          show(other, "center");
          const number = $("a.no, h3 a", other);
          if (number) number.focus({ preventScroll: true });
        }
      }
    });
    const starts = $$(".left .row.begins");
    const step = (by) => {
      const first = (members.get(pinned[0]) || []).find(onLeft);
      let at = first ? starts.findIndex((row) => row.dataset.b.split(" ").includes(pinned[0])) : -1;
      if (at < 0) {
        at = starts.findIndex((row) => row.getBoundingClientRect().top > 80);
        if (by > 0) at -= 1;
      }
      const next = starts[Math.max(0, Math.min(starts.length - 1, at + by))];
      if (!next) return;
      pin(next.dataset.b.split(" "));
      history.replaceState(null, "", `#${next.id}`);
      show(next, "center");
      $(".no", next).focus({ preventScroll: true });
    };

    // Joints: a band from the C rows of a block to its Rust rows.
    const far = 320;
    const runs = (elements, top) => {
      const found = [];
      for (const element of elements) {
        const rect = element.getBoundingClientRect();
        if (!rect.height) continue;
        const last = found[found.length - 1];
        if (last && rect.top - top - last[1] < 2) last[1] = rect.bottom - top;
        else found.push([rect.top - top, rect.bottom - top]);
      }
      return found;
    };
    const draw = (section) => {
      const svg = $(".joints", section);
      if (!svg || narrow.matches) return;
      const { top, width } = svg.getBoundingClientRect();
      const blocks = new Set($$(".right [data-b]", section).flatMap((e) => e.dataset.b.split(" ")));
      const drawn = [];
      for (const block of blocks) {
        const all = members.get(block);
        const c = runs(all.filter(onLeft), top);
        const rust = runs(all.filter((element) => !onLeft(element)), top);
        const made = [];
        // Where inner blocks leave pieces of an outer one on both sides: the first to the first.
        const count = c.length && rust.length ? Math.max(c.length, rust.length) : 0;
        for (let piece = 0; piece < count; piece += 1) {
          const [a, b] = c[Math.min(piece, c.length - 1)];
          const [d, e] = rust[Math.min(piece, rust.length - 1)];
          const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
          const x = width / 2;
          path.setAttribute("d", `M0 ${a}C${x} ${a} ${x} ${d} ${width} ${d}V${e}C${x} ${e} ${x} ${b} 0 ${b}Z`);
          path.classList.toggle("far", Math.abs(a + b - d - e) / 2 > far);
          path.classList.toggle("hot", hot.includes(block));
          path.classList.toggle("pin", pinned.includes(block));
          made.push(path);
        }
        paths.set(block, made);
        drawn.push(...made);
      }
      svg.replaceChildren(...drawn);
    };
    const near = new Set();
    const watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) { near.add(target); draw(target); } else near.delete(target);
      }
    }, { rootMargin: "800px 0px" });
    const resized = new ResizeObserver((entries) => {
      for (const { target } of entries) {
        const section = target.closest(".pair");
        if (near.has(section)) draw(section);
      }
    });
    for (const section of $$(".pair:not(.plain)")) {
      watch.observe(section);
      resized.observe(section);
      // What is folded out moves the rows below it, though the section may stay as high.
      const right = $(".right", section);
      if (right) resized.observe(right);
    }
    arrive();
  }
})();
