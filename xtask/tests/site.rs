//! The site in a real browser. `ci/site.sh` writes it, and says in `PARITY_SITE` where it is.

mod browser;

use std::path::PathBuf;

use browser::Browser;
use serde_json::{Value, json};

const LAPTOP: (u32, u32) = (1440, 900);
const PHONE: (u32, u32) = (390, 844);

fn site() -> PathBuf {
    let folder = std::env::var_os("PARITY_SITE").expect("PARITY_SITE, the folder of the site");
    std::path::absolute(PathBuf::from(folder)).unwrap()
}

fn url(page: &str) -> String {
    format!("file://{}/{page}", site().display())
}

fn pages() -> Vec<String> {
    let mut pages: Vec<String> = std::fs::read_dir(site())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".html"))
        .collect();
    pages.sort();
    pages
}

/// The first element that fits is on the screen, below the bar.
fn in_sight(selector: &str) -> String {
    format!(
        "(() => {{
            const element = document.querySelector({});
            if (!element) return false;
            const rect = element.getBoundingClientRect();
            return rect.height > 0 && rect.top >= 40 && rect.top < innerHeight;
        }})()",
        json!(selector)
    )
}

/// How many C rows and how many Rust rows have a class.
fn rows_with(browser: &mut Browser, class: &str) -> (u64, u64) {
    let count = |side: &str| {
        format!("document.querySelectorAll('{side} .row.{class}, {side} .card.{class}').length")
    };
    let found = browser.eval(&format!("[{}, {}]", count(".left"), count(".right")));
    (found[0].as_u64().unwrap(), found[1].as_u64().unwrap())
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn every_page_loads_without_a_word_and_without_a_network() {
    let mut browser = Browser::start();
    let pages = pages();
    assert!(pages.len() >= 13, "{pages:?}");
    for (scheme, paper) in [("light", "rgb(250, 249, 246)"), ("dark", "rgb(21, 23, 26)")] {
        browser.prefer(scheme);
        for page in &pages {
            browser.open(&url(page));
            let colour = browser.eval("getComputedStyle(document.body).backgroundColor");
            assert_eq!(colour, paper, "{page}, {scheme}");
            for (width, height) in [LAPTOP, PHONE, (1024, 768), (1920, 1080)] {
                browser.size(width, height);
                // A phone's window widens with what is too wide for it.
                let wide = browser.eval("document.documentElement.scrollWidth");
                assert_eq!(wide, width, "{page} at {width} scrolls sideways");
            }
        }
    }
    assert_eq!(browser.complaints(), [""; 0]);
    let elsewhere: Vec<String> = browser
        .requests()
        .into_iter()
        .filter(|url| !url.starts_with("file://") && !url.starts_with("data:"))
        .filter(|url| url != "about:blank")
        .collect();
    assert_eq!(elsewhere, [""; 0]);
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn search_finds_symbols_items_and_lines() {
    let mut browser = Browser::start();
    let top = "document.querySelector('#results [aria-selected=true] b').textContent";
    for (query, found, page, target) in [
        ("_PyMutex_LockTimed", "_PyMutex_LockTimed", "lock.c.html", "[id='_PyMutex_LockTimed']"),
        ("mutex_unp", "mutex_unpark", "lock.c.html", "#mutex_unpark"),
        ("rawmutex lockslow", "RawMutex::lock_slow", "lock.c.html", "[id*='RawMutex.lock_slow']"),
        ("RwMutex::read_lock", "RwMutex::read_lock", "", "details.card:target"),
        ("lock.c:108", "Line 108", "lock.c.html", "#L108"),
        ("parking_lot.c", "parking_lot.c", "parking_lot.c.html", "h1"),
        ("D07", "D07", "deviations.html", "#D07"),
    ] {
        browser.open(&url("index.html"));
        browser.press("/");
        browser.write(query);
        browser.wait_until("!document.querySelector('#results').hidden");
        let first = browser.eval(top);
        assert!(first.as_str().unwrap().starts_with(found), "{query}: {first}");
        browser.press("Enter");
        browser.wait_until(
            "!location.pathname.endsWith('index.html') && document.readyState === 'complete'",
        );
        let path = browser.eval("location.pathname");
        assert!(path.as_str().unwrap().ends_with(page), "{query}: {path}");
        browser.wait_until(&in_sight(target));
    }

    browser.open(&url("lock.c.html"));
    browser.click("#search");
    browser.write("L95");
    assert_eq!(browser.eval(top), "Line 95");
    browser.press("Escape");

    // What many things are called.
    browser.click("#search");
    browser.write("mutex");
    let chosen = "[...document.querySelectorAll('#results li')]\
        .findIndex((item) => item.getAttribute('aria-selected') === 'true')";
    assert_eq!(browser.eval(chosen), 0);
    browser.press("ArrowDown");
    assert_eq!(browser.eval(chosen), 1);
    browser.press("Escape");
    assert_eq!(browser.eval("document.querySelector('#results').hidden"), true);

    browser.click("#search");
    browser.write("no such thing");
    let said = browser.eval("document.querySelector('#results').textContent");
    assert_eq!(said, "Nothing found");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn pointing_lights_up_both_sides_and_a_click_holds_them() {
    let mut browser = Browser::start();
    browser.open(&url("lock.c.html#_PyMutex_LockTimed"));
    assert_eq!(rows_with(&mut browser, "hot"), (0, 0));
    browser.hover("#L123 code");
    let (c, rust) = rows_with(&mut browser, "hot");
    assert!(c == 4 && rust >= 2, "{c} C rows, {rust} Rust rows");
    assert_eq!(browser.eval("document.querySelectorAll('.joints .hot').length"), 1);

    browser.click("#L123 code");
    assert_eq!(rows_with(&mut browser, "pin"), (c, rust));
    assert_eq!(browser.eval("location.hash"), "#L123");
    browser.hover("#L55 code");
    assert_eq!(rows_with(&mut browser, "pin"), (c, rust), "it stays");
    browser.press("Escape");
    assert_eq!(rows_with(&mut browser, "pin"), (0, 0));

    // From the other side.
    let marker = ".right .row.begins:has(a[href$='#L99'])";
    browser.click(&format!("{marker} code"));
    let (c, rust) = rows_with(&mut browser, "pin");
    assert!(c >= 6 && rust >= 3, "{c} C rows, {rust} Rust rows");
    assert_eq!(browser.eval("location.hash"), "#L99");
    browser.click(&format!("{marker} code"));
    assert_eq!(rows_with(&mut browser, "pin"), (0, 0), "a second click lets go");

    // The ledger's side.
    browser.open(&url("parking_lot.c.html#BUCKET_INIT_256"));
    browser.wait_until(&in_sight(".card.ledger"));
    browser.click("[id='L39'] code");
    let (c, rust) = rows_with(&mut browser, "pin");
    assert!(c == 9 && rust == 1, "{c} C rows, {rust} cards");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn addresses_lead_to_symbols_lines_and_items() {
    let mut browser = Browser::start();
    for (page, target) in [
        ("lock.c.html#_PyMutex_LockTimed", "[id='_PyMutex_LockTimed']"),
        ("lock.c.html#MAX_SPIN_COUNT-2", "#MAX_SPIN_COUNT-2"),
        ("parking_lot.c.html#BUCKET_INIT_64", "#BUCKET_INIT_64"),
        ("lock.c.html#L95", "#L95"),
        ("critical_section.c.html#L130", "#L130"),
        ("deviations.html#D05", "#D05"),
    ] {
        browser.open(&url(page));
        browser.wait_until(&in_sight(target).replace("rect.height > 0 &&", ""));
    }
    browser.open(&url("lock.c.html#L95"));
    let (c, rust) = rows_with(&mut browser, "pin");
    assert!(c > 0 && rust > 0, "{c} C rows, {rust} Rust rows");
    browser.eval("location.hash = '#L108'");
    browser
        .wait_until("document.querySelector('#L108.pin') && !document.querySelector('#L95.pin')");

    // No link on any page leads nowhere.
    let mut ids = std::collections::BTreeMap::new();
    let mut links = Vec::new();
    for page in pages() {
        browser.open(&url(&page));
        let found = browser.eval(
            "[[...document.querySelectorAll('[id]')].map((e) => e.id),
              [...document.querySelectorAll('a[href]')].map((e) => e.getAttribute('href'))]",
        );
        let strings =
            |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
        let here = strings(&found[0]);
        let mut unique = here.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), here.len(), "{page} has the same id twice");
        for link in strings(&found[1]) {
            links.push((page.clone(), link));
        }
        ids.insert(page, here);
    }
    for (page, link) in links {
        let (file, id) = link.split_once('#').unwrap_or((&link, ""));
        let file = if file.is_empty() { &page } else { file };
        let there = ids.get(file).unwrap_or_else(|| panic!("{page} links to {link}"));
        assert!(id.is_empty() || there.iter().any(|there| there == id), "{page} links to {link}");
    }
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn the_overview_filters_by_status_file_and_text() {
    let mut browser = Browser::start();
    browser.open(&url("index.html"));
    let visible =
        "[...document.querySelectorAll('#rows tbody tr')].filter((row) => row.offsetHeight).length";
    let all = browser.eval(visible).as_u64().unwrap();
    let mut sum = 0;
    for status in ["mirrored", "ledger", "missing"] {
        browser.click(&format!("#filter [data-status={status}]"));
        let shown = browser.eval(visible).as_u64().unwrap();
        let counted = browser.eval(&format!(
            "Number(document.querySelector('#filter [data-status={status}] span').textContent)"
        ));
        assert_eq!(json!(shown), counted, "{status}");
        let others = browser.eval(&format!(
            "document.querySelectorAll('#rows tbody tr:not([hidden]):not([data-status={status}])').length"
        ));
        assert_eq!(others, 0, "{status}");
        assert_eq!(
            browser.eval("document.querySelector('#filter-count').textContent"),
            format!("{shown} of {all}")
        );
        sum += shown;
    }
    assert_eq!(sum, all);
    browser.click("#filter [data-status=deviation]");
    let deviating = browser.eval(visible).as_u64().unwrap();
    assert!(deviating > 0 && deviating < all, "{deviating}");

    browser.click("#filter [data-status='']");
    browser.click("#filter-text");
    browser.write("rwmutex");
    let named = browser.eval(visible).as_u64().unwrap();
    assert!(named > 3 && named < all / 2, "{named}");
    browser.eval(
        "(() => { const file = document.querySelector('#filter-file');
                  file.value = 'parking_lot.c'; file.dispatchEvent(new Event('change')); })()",
    );
    assert_eq!(browser.eval(visible), 0);
    assert_eq!(browser.eval("document.querySelector('#filter-empty').hidden"), false);

    browser.open(&url("index.html#ledger"));
    let pressed =
        browser.eval("document.querySelector('#filter [aria-pressed=true]').dataset.status");
    assert_eq!(pressed, "ledger");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn light_and_dark_can_be_chosen_and_stay_chosen() {
    let mut browser = Browser::start();
    let paper = "getComputedStyle(document.body).backgroundColor";
    for (prefers, chosen) in [("light", "rgb(21, 23, 26)"), ("dark", "rgb(250, 249, 246)")] {
        browser.prefer(prefers);
        browser.open(&url("index.html"));
        browser.eval("localStorage.removeItem('parity-theme')");
        browser.open(&url("index.html"));
        browser.click("#theme");
        assert_eq!(browser.eval(paper), chosen);
        browser.open(&url("lock.c.html"));
        assert_eq!(browser.eval(paper), chosen, "on the next page");
        browser.click("#theme");
        assert_ne!(browser.eval(paper), chosen);
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn everything_can_be_reached_with_the_keyboard() {
    let mut browser = Browser::start();
    browser.open(&url("index.html"));
    browser.press("Tab");
    assert_eq!(browser.eval("document.activeElement.className"), "skip");
    let mut seen = Vec::new();
    for _ in 0..12 {
        browser.press("Tab");
        let name =
            browser.eval("document.activeElement.id || document.activeElement.textContent.trim()");
        seen.push(name.as_str().unwrap().to_owned());
    }
    for name in ["Overview", "Files", "Deviations", "search", "theme"] {
        assert!(seen.iter().any(|seen| seen == name), "{name} in {seen:?}");
    }

    browser.open(&url("lock.c.html#_PyMutex_LockTimed"));
    let pinned = "[...document.querySelectorAll('.left .row.pin')].map((row) => row.id).join(' ')";
    browser.press("j");
    let first = browser.eval(pinned);
    assert_ne!(first, "");
    browser.press("j");
    let second = browser.eval(pinned);
    assert_ne!(second, first);
    browser.press("k");
    assert_eq!(browser.eval(pinned), first);
    browser.press("j");
    assert_eq!(browser.eval("document.activeElement.closest('.left') !== null"), true);
    browser.press("o");
    assert_eq!(browser.eval("document.activeElement.closest('.right') !== null"), true);
    browser.press("o");
    assert_eq!(browser.eval("document.activeElement.closest('.left') !== null"), true);

    // A focused line lights up, and Enter takes it.
    browser.press("Escape");
    browser.eval("document.querySelector('#L55 .no').focus()");
    let (c, rust) = rows_with(&mut browser, "hot");
    assert!(c > 0 && rust > 0, "{c} C rows, {rust} Rust rows");
    browser.press("Enter");
    browser.wait_until("document.querySelector('#L55.pin')");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn deviations_and_documentation_fold_out_where_they_apply() {
    let mut browser = Browser::start();
    browser.open(&url("lock.c.html"));
    assert_eq!(browser.eval("document.querySelector('.deviation').open"), false);
    browser.click(".deviation summary");
    browser.wait_until("document.querySelector('.deviation').open");
    browser.wait_until("document.querySelector('.deviation .prose').offsetHeight > 20");
    let entry = browser.eval("document.querySelector('.deviation .prose a').getAttribute('href')");
    assert!(entry.as_str().unwrap().starts_with("deviations.html#D"), "{entry}");

    let folded = "document.querySelector('.folded')";
    assert_eq!(browser.eval(&format!("{folded}.hidden")), true);
    browser.click(".more");
    assert_eq!(browser.eval(&format!("{folded}.hidden")), false);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn what_belongs_together_stands_at_the_same_height_and_is_joined() {
    let mut browser = Browser::start();
    browser.open(&url("lock.c.html#_PyMutex_LockTimed"));
    browser.wait_until("document.querySelectorAll('.joints path').length > 5");
    // The distance of the first row of each block from its partner's, in rows.
    let apart = browser.eval(
        "[...document.querySelectorAll('.left .row.begins')].flatMap((row) => {
            const blocks = row.dataset.b.split(' ');
            const other = document.querySelector(`.right .row.begins[data-b=\"${blocks[0]}\"]`);
            if (!other || !other.offsetHeight) return [];
            const top = (element) => element.getBoundingClientRect().top;
            return [Math.abs(top(row) - top(other)) / row.offsetHeight];
        })",
    );
    let apart: Vec<f64> = serde_json::from_value(apart).unwrap();
    let level = apart.iter().filter(|rows| **rows < 0.5).count();
    assert!(apart.len() > 60 && level * 3 > apart.len() * 2, "{level} of {} blocks", apart.len());
}

#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn on_a_phone_a_tap_leads_to_the_other_side() {
    let mut browser = Browser::start();
    browser.size(PHONE.0, PHONE.1);
    browser.open(&url("lock.c.html#L108"));
    assert_eq!(browser.eval("document.querySelector('.joints').getBoundingClientRect().width"), 0);
    browser.press("Escape");
    browser.click("#L108 code");
    browser.wait_until(&in_sight(".right .row.pin"));
    browser.click(".right .row.pin code");
    browser.click(".right .row.begins[data-b] code");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// For people: `PARITY_SHOTS=DIR` gets a picture of each kind of page.
#[test]
#[ignore = "needs Chromium and the site: ci/site.sh"]
fn pictures() {
    let Some(folder) = std::env::var_os("PARITY_SHOTS").map(PathBuf::from) else { return };
    let mut browser = Browser::start();
    for (size, name) in [(LAPTOP, "laptop"), (PHONE, "phone")] {
        browser.size(size.0, size.1);
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            for (page, what) in [
                ("index.html", "overview"),
                ("lock.c.html#L108", "code"),
                ("parking_lot.c.html#BUCKET_INIT", "ledger"),
                ("deviations.html", "deviations"),
            ] {
                browser.open(&url(page));
                browser.wait_until("document.fonts.status === 'loaded'");
                browser.screenshot(&folder.join(format!("{what}-{name}-{scheme}.png")));
            }
        }
    }
}
