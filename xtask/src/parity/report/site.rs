//! All files of the site, from the templates.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde_json::{Value, json};

use super::material::Material;
use super::model::{DeviationPage, Link, OverviewRow, Page};
use super::page::{self, Anchors, page_url};
use super::{cards, prose, section};
use crate::parity::audit::Mirror;
use crate::parity::cpython::{COVERED, short};
use crate::parity::deviations::Deviation;
use crate::parity::render::percent;

const TEMPLATES: [(&str, &str); 5] = [
    ("bar.html", include_str!("assets/bar.html")),
    ("base.html", include_str!("assets/base.html")),
    ("overview.html", include_str!("assets/overview.html")),
    ("file.html", include_str!("assets/file.html")),
    ("deviations.html", include_str!("assets/deviations.html")),
];

const ASSETS: [(&str, &str); 2] = [
    ("assets/site.css", include_str!("assets/site.css")),
    ("assets/site.js", include_str!("assets/site.js")),
];

/// The files, by path inside the site.
pub(super) fn build(material: &Material) -> Result<BTreeMap<String, String>> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    for (name, template) in TEMPLATES {
        environment.add_template(name, template).with_context(|| format!("the template {name}"))?;
    }
    let anchors = Anchors::new(material);
    let pages: Vec<Page> =
        COVERED.iter().filter_map(|covered| page::page(material, &anchors, covered)).collect();
    let overview = overview(material, &anchors);
    let deviations = deviations(material, &anchors);

    let version = &material.index.version;
    let nav: minijinja::Value = pages
        .iter()
        .map(|page| context! { name => &*page.name, path => &*page.path, url => &*page.url, stats => Serde(&page.stats) })
        .collect();
    let render = |template: &str, root: minijinja::Value| -> Result<String> {
        let shared = context! { version, nav => nav.clone(), ..root };
        let template = environment.get_template(template)?;
        template.render(shared).with_context(|| format!("the template {}", template.name()))
    };

    let mut files = BTreeMap::new();
    for page in &pages {
        let html = render(
            "file.html",
            context! { title => &*page.name, here => &*page.url, page => Serde(page) },
        )?;
        files.insert(page.url.clone(), html);
    }
    let html = render(
        "overview.html",
        context! {
            title => "Overview",
            here => "index.html",
            stats => Serde(page::stats(material, None)),
            counts => counts(material),
            rows => Serde(overview),
            problems => material.audit.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
    )?;
    files.insert("index.html".to_owned(), html);
    let html = render(
        "deviations.html",
        context! { title => "Deviations", here => "deviations.html", deviations => Serde(&deviations) },
    )?;
    files.insert("deviations.html".to_owned(), html);
    for (path, text) in ASSETS {
        files.insert(path.to_owned(), text.to_owned());
    }
    files.insert("assets/search.js".to_owned(), search(material, &anchors, &pages, &deviations)?);
    Ok(files)
}

fn counts(material: &Material) -> minijinja::Value {
    let totals = material.audit.totals;
    context! {
        symbols => totals.symbols,
        mirrored => totals.mirrored,
        ledger => totals.ledger,
        missing => totals.missing,
        items => material.files.iter().map(|file| file.anchors.len()).sum::<usize>(),
        markers => material.files.iter().map(|file| file.markers.len()).sum::<usize>(),
        ledger_percent => percent(totals.lines.ledger, totals.lines.all),
    }
}

fn item_link(mirror: &Mirror, page: &str) -> Link {
    let id = page::id_of_item(&mirror.item, &mirror.path, mirror.line);
    Link { text: mirror.item.clone(), url: format!("{page}#{id}") }
}

fn overview(material: &Material, anchors: &Anchors) -> Vec<OverviewRow> {
    let rows = material.audit.rows.iter().enumerate();
    rows.map(|(at, row)| {
        let symbol = &row.symbol;
        let mut reasons: Vec<String> = Vec::new();
        for posting in &row.postings {
            let reason = prose::inline(&posting.reason);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        OverviewRow {
            name: symbol.name.clone(),
            url: anchors.url(material, at),
            file: short(&symbol.file).to_owned(),
            line: symbol.line,
            kind: section::kind_label(symbol.kind).to_owned(),
            status: section::status_word(row.status),
            accounted: row.lines.accounted(),
            all: row.lines.all,
            items: row
                .mirrors
                .iter()
                .map(|mirror| item_link(mirror, &page_url(&symbol.file)))
                .collect(),
            reasons,
            deviations: tags(material, at).into_iter().map(|(id, _)| id).collect(),
        }
    })
    .collect()
}

/// The deviations in the items that mirror a symbol, and where their tags stand.
fn tags(material: &Material, symbol: usize) -> Vec<(String, (usize, u32))> {
    let mut tags: Vec<(String, (usize, u32))> = Vec::new();
    for target in material.audit.targets.iter().filter(|target| target.symbol == symbol) {
        let file = &material.files[target.file];
        let item = &file.items[file.anchors[target.anchor].item];
        for tag in file.tags.iter().filter(|tag| (item.first..=item.last).contains(&tag.at)) {
            if !tags.iter().any(|(id, _)| *id == tag.id) {
                tags.push((tag.id.clone(), (target.file, tag.at)));
            }
        }
    }
    tags.sort();
    tags
}

/// Every deviation, and the symbols whose Rust has its tag.
fn deviations(material: &Material, anchors: &Anchors) -> Vec<DeviationPage> {
    let page = |deviation: &Deviation| {
        let mut places: Vec<Link> = Vec::new();
        for symbol in 0..material.index.symbols.len() {
            if tags(material, symbol).iter().any(|(id, _)| *id == deviation.id) {
                let found = &material.index.symbols[symbol];
                places.push(Link { text: found.name.clone(), url: anchors.url(material, symbol) });
            }
        }
        DeviationPage { note: cards::note(deviation), places }
    };
    material.deviations.iter().map(page).collect()
}

/// A script that the pages load: from a disk nothing can be fetched.
fn search(
    material: &Material,
    anchors: &Anchors,
    pages: &[Page],
    deviations: &[DeviationPage],
) -> Result<String> {
    let mut entries: Vec<Value> = Vec::new();
    for page in pages {
        entries.push(json!(["file", page.name, page.path, page.url, ""]));
    }
    for (at, row) in material.audit.rows.iter().enumerate() {
        let place = format!("{}:{}", short(&row.symbol.file), row.symbol.line);
        let status = section::status_word(row.status);
        let url = anchors.url(material, at);
        entries.push(json!(["c", row.symbol.name, place, url, status]));
        for member in &row.symbol.members {
            let place =
                format!("{}:{}, in {}", short(&row.symbol.file), member.line, row.symbol.name);
            let url = format!("{}#L{}", page_url(&row.symbol.file), member.line);
            entries.push(json!(["c", member.name, place, url, status]));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for row in &material.audit.rows {
        for mirror in &row.mirrors {
            let link = item_link(mirror, &page_url(&row.symbol.file));
            if seen.insert((mirror.path.clone(), mirror.line)) {
                let place = format!("{}:{}", mirror.path, mirror.line);
                entries.push(json!(["rust", mirror.item, place, link.url, ""]));
            }
        }
    }
    for deviation in deviations {
        let url = format!("deviations.html#{}", deviation.note.id);
        let title = format!("{} {}", deviation.note.id, plain(&deviation.note.title));
        entries.push(json!(["deviation", title, "docs/deviations.md", url, ""]));
    }
    Ok(format!("window.PARITY_SEARCH = {};\n", serde_json::to_string(&entries)?))
}

/// HTML of one line without its tags.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The number of pages, for the last line of the command.
pub(super) fn page_count(files: &BTreeMap<String, String>) -> usize {
    files.keys().filter(|path| path.ends_with(".html")).count()
}
