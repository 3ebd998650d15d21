//! The picture as a file for a browser. It has no scripts and names no other file.

use std::f64::consts::TAU;
use std::fmt::Write;

use crate::graph::{Picture, Ring, Tree, What, forest};

/// The distances between the centres of neighbours.
const COLUMN: f64 = 76.0;
const ROW: f64 = 62.0;
const MARGIN: f64 = 40.0;
/// Above the pictures, for the title.
const HEAD: f64 = 132.0;
/// Beside a ring, for what is said of its threads.
const LABEL: f64 = 150.0;
/// Of a thread, its radius.
const R: f64 = 20.0;
/// Of an account, half its width and height.
const W: f64 = 28.0;
const H: f64 = 14.0;

const STYLE: &str = "
svg { background: #fbfaf7; font: 13px system-ui, 'DejaVu Sans', sans-serif; }
text { fill: #23262b; text-anchor: middle; dominant-baseline: central; }
.left { text-anchor: start; }
.right { text-anchor: end; }
.title { font-size: 20px; font-weight: 600; }
.head { font-size: 15px; font-weight: 600; }
.faint { fill: #6b7078; }
circle, rect { stroke-width: 1.5; }
.waits { fill: #e9eef8; stroke: #5b76ad; }
.runs { fill: #d9f0de; stroke: #2e8b57; stroke-width: 2.5; }
.lost { fill: #fbe0de; stroke: #c8372d; stroke-width: 2.5; }
.account { fill: #fff6dd; stroke: #b08a2e; }
path { fill: none; stroke-width: 1.6; }
.wants { stroke: #5b76ad; stroke-dasharray: 5 4; marker-end: url(#to); }
.inside { stroke: #b08a2e; stroke-width: 3; }
.cut { stroke: #c8372d; stroke-width: 2; stroke-dasharray: 5 4; marker-end: url(#cut); }
@media (prefers-color-scheme: dark) {
  svg { background: #16181c; }
  text { fill: #e6e4df; }
  .faint { fill: #989da6; }
  .waits { fill: #233150; } .runs { fill: #1d3f2b; } .lost { fill: #4d201d; } .account { fill: #40351a; }
}
";

struct Point {
    x: f64,
    y: f64,
}

/// What is drawn so far: lines lie below shapes.
#[derive(Default)]
struct Canvas {
    lines: String,
    shapes: String,
}

impl Canvas {
    fn text(&mut self, class: &str, at: Point, text: &str) {
        let Point { x, y } = at;
        writeln!(self.shapes, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#)
            .unwrap();
    }

    fn thread(&mut self, class: &str, at: &Point, number: usize) {
        let Point { x, y } = *at;
        writeln!(
            self.shapes,
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{R}"><title>thread {number}</title></circle>"#
        )
        .unwrap();
        self.text("", Point { x, y }, &number.to_string());
    }

    fn account(&mut self, at: &Point, name: &str) {
        let Point { x, y } = *at;
        writeln!(
            self.shapes,
            r#"<rect class="account" x="{:.1}" y="{:.1}" width="{}" height="{}" rx="6"/>"#,
            x - W,
            y - H,
            2.0 * W,
            2.0 * H
        )
        .unwrap();
        self.text("", Point { x, y }, name);
    }

    /// A line, which ends `gap` before its end.
    fn line(&mut self, class: &str, from: &Point, to: &Point, gap: f64) {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length = dx.hypot(dy).max(1.0);
        let (x, y) = (to.x - dx / length * gap, to.y - dy / length * gap);
        writeln!(
            self.lines,
            r#"<path class="{class}" d="M{:.1} {:.1}L{x:.1} {y:.1}"/>"#,
            from.x, from.y
        )
        .unwrap();
    }
}

/// How far from its centre a line that comes from `from` meets the box of an account.
fn to_box(from: &Point, to: &Point) -> f64 {
    let (dx, dy) = ((to.x - from.x).abs(), (to.y - from.y).abs());
    let across = if dx > 0.0 { W / dx } else { f64::INFINITY };
    let up = if dy > 0.0 { H / dy } else { f64::INFINITY };
    across.min(up) * dx.hypot(dy) + 2.0
}

pub(crate) fn draw(picture: &Picture) -> String {
    let mut canvas = Canvas::default();
    let (mut right, mut bottom) = (MARGIN, HEAD);
    for tree in forest(&picture.waits) {
        right += COLUMN / 2.0;
        tree_at(&mut canvas, &tree, &mut right, HEAD + 30.0, &mut bottom);
    }
    right = right.max(MARGIN + 360.0);
    if let Some(ring) = &picture.ring {
        let radius = (ring.waits.len() as f64 * 34.0).max(80.0);
        let centre = Point { x: right + radius + LABEL, y: HEAD + 46.0 + radius };
        let head = Point { x: right + MARGIN, y: HEAD - 28.0 };
        let text = format!("The largest deadlock that was broken: {} threads", ring.waits.len());
        canvas.text("head left", head, &text);
        ring_at(&mut canvas, ring, &centre, radius);
        right = (centre.x + radius + LABEL).max(right + MARGIN + 390.0);
        bottom = bottom.max(centre.y + radius + 50.0);
    }
    // As wide as what is told, more or less.
    right = right.max(MARGIN + picture.told.len() as f64 * 6.6);
    let text = |y| Point { x: MARGIN, y };
    canvas.text("title left", text(36.0), "Who waits for whom");
    canvas.text("left faint", text(64.0), &picture.told);
    canvas.text("head left", text(HEAD - 28.0), "The longest chain that was seen");
    legend(&mut canvas, bottom + 56.0);
    let (width, height) = (right + MARGIN, bottom + 92.0);
    let Canvas { lines, shapes } = canvas;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}">
<style>{STYLE}</style>
<defs>
<marker id="to" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" style="fill:#5b76ad"/></marker>
<marker id="cut" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L10 5L0 10z" style="fill:#c8372d"/></marker>
</defs>
{lines}{shapes}</svg>
"##
    )
}

/// Draws a tree below `y`, from `right` on, which it moves; returns where its root is.
fn tree_at(
    canvas: &mut Canvas,
    tree: &Tree<'_>,
    right: &mut f64,
    y: f64,
    bottom: &mut f64,
) -> Point {
    *bottom = bottom.max(y + R);
    let children: Vec<_> = tree
        .children
        .iter()
        .map(|child| (child, tree_at(canvas, child, right, y + ROW, bottom)))
        .collect();
    let x = match (children.first(), children.last()) {
        (Some((_, first)), Some((_, last))) => (first.x + last.x) / 2.0,
        _ => {
            *right += COLUMN;
            *right - COLUMN / 2.0
        }
    };
    let here = Point { x, y };
    for (_, from) in &children {
        match tree.what {
            What::Account(_) => canvas.line("wants", from, &here, to_box(from, &here)),
            What::Runs(_) | What::Waits(_) => canvas.line("inside", from, &here, R),
        }
    }
    match tree.what {
        What::Runs(number) => canvas.thread("runs", &here, number),
        What::Waits(number) => canvas.thread("waits", &here, number),
        What::Account(name) => canvas.account(&here, name),
    }
    here
}

/// Draws a ring: each thread, and then the account that it waits for.
fn ring_at(canvas: &mut Canvas, ring: &Ring, centre: &Point, radius: f64) {
    let places = 2 * ring.waits.len();
    let place = |at: usize| {
        let angle = (at % places) as f64 * TAU / places as f64 - TAU / 4.0;
        Point { x: centre.x + radius * angle.cos(), y: centre.y + radius * angle.sin() }
    };
    let oldest = ring.waits.iter().map(|wait| wait.age).min();
    for (at, wait) in ring.waits.iter().enumerate() {
        let (thread, account, next) = (place(2 * at), place(2 * at + 1), place(2 * at + 2));
        let has_lost = at == ring.victim;
        let class = if has_lost { "cut" } else { "wants" };
        canvas.line(class, &thread, &account, to_box(&thread, &account));
        canvas.line("inside", &account, &next, R);
        canvas.thread(if has_lost { "lost" } else { "waits" }, &thread, wait.thread);
        canvas.account(&account, wait.account);
        let label = match wait.age {
            _ if has_lost => "youngest: loses",
            age if Some(age) == oldest => "oldest",
            _ => continue,
        };
        // Outside of the ring.
        let (dx, dy) = ((thread.x - centre.x) / radius, (thread.y - centre.y) / radius);
        let out = Point { x: thread.x + dx * (R + 8.0), y: thread.y + dy * (R + 14.0) };
        let class = match dx {
            0.1.. => "faint left",
            ..-0.1 => "faint right",
            _ => "faint",
        };
        canvas.text(class, out, label);
    }
}

fn legend(canvas: &mut Canvas, y: f64) {
    let mut x = MARGIN + R;
    let mut item = |canvas: &mut Canvas, shape: &str, text: &str| {
        let here = Point { x, y };
        let width = match shape {
            "account" => {
                canvas.account(&here, "Ann");
                W
            }
            "wants" | "inside" => {
                canvas.line(shape, &Point { x: x - R, y }, &Point { x: x + R, y }, 0.0);
                R
            }
            _ => {
                canvas.thread(shape, &here, 7);
                R
            }
        };
        canvas.text("left", Point { x: x + width + 8.0, y }, text);
        x += width + 8.0 + text.len() as f64 * 7.4 + 2.0 * R;
    };
    item(canvas, "runs", "runs");
    item(canvas, "waits", "waits");
    item(canvas, "lost", "loses");
    item(canvas, "account", "account");
    item(canvas, "wants", "waits for");
    item(canvas, "inside", "is inside");
}
