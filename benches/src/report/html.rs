//! One page that opens from disk: plots and the tables behind them.

use anyhow::{Result, anyhow};
use minijinja::Environment;
use minijinja::value::Serde;
use plotters::prelude::*;
use serde::Serialize;

use super::{number, split_keys};
use crate::model::{Cell, Family, Report};

#[derive(Serialize)]
struct Page<'a> {
    report: &'a Report,
    sections: Vec<Section>,
}

#[derive(Serialize)]
struct Section {
    title: String,
    plots: Vec<String>,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

pub(crate) fn render(report: &Report) -> Result<String> {
    let mut environment = Environment::new();
    environment.add_template("report.html", include_str!("report.html"))?;
    let sections = report.families.iter().map(section).collect::<Result<Vec<_>>>()?;
    let page = environment.get_template("report.html")?;
    Ok(page.render(Serde(&Page { report, sections }))?)
}

fn section(family: &Family) -> Result<Section> {
    let (keys, _) = split_keys(family);
    let mut plots = Vec::new();
    for group in groups(family) {
        plots.push(plot(family, &group, &family.unit, |cell, contender| {
            cell.result(contender).map(|result| result.median)
        })?);
        let fairness =
            |cell: &Cell, contender: &str| cell.result(contender)?.extra.get("jain").copied();
        if group[0].results.iter().any(|result| result.extra.contains_key("jain")) {
            plots.push(plot(family, &group, "Jain's fairness", fairness)?);
        }
    }

    let mut extras: Vec<&str> = family
        .cells
        .iter()
        .flat_map(|cell| &cell.results)
        .flat_map(|result| result.extra.keys().map(String::as_str))
        .collect();
    extras.sort_unstable();
    extras.dedup();
    let mut header: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
    header.extend(["contender".to_owned(), family.unit.clone(), "spread %".to_owned()]);
    header.extend(extras.iter().map(|name| name.replace('_', " ")));
    let mut rows = Vec::new();
    for cell in &family.cells {
        for result in &cell.results {
            let mut row: Vec<String> =
                keys.iter().map(|key| cell.get(key).unwrap_or("").to_owned()).collect();
            row.extend([
                result.contender.clone(),
                number(result.median),
                number(result.spread() * 100.0),
            ]);
            row.extend(
                extras
                    .iter()
                    .map(|&name| result.extra.get(name).map_or_else(String::new, |&v| number(v))),
            );
            rows.push(row);
        }
    }
    Ok(Section { title: family.title.clone(), plots, header, rows })
}

/// Cells that differ in nothing but the x axis: one plot each.
fn groups(family: &Family) -> Vec<Vec<&Cell>> {
    let mut groups: Vec<Vec<&Cell>> = Vec::new();
    for cell in &family.cells {
        let same = |group: &&mut Vec<&Cell>| caption(family, group[0]) == caption(family, cell);
        match groups.iter_mut().find(same) {
            Some(group) => group.push(cell),
            None => groups.push(vec![cell]),
        }
    }
    groups
}

fn caption(family: &Family, cell: &Cell) -> String {
    let others = cell.case.iter().filter(|(key, _)| *key != family.x);
    let parts: Vec<String> = others.map(|(key, value)| format!("{key} {value}")).collect();
    parts.join(", ")
}

const SIZE: (u32, u32) = (560, 320);

const OURS: RGBColor = RGBColor(214, 39, 40);
/// Variants and other primitives of ours.
const OURS_TOO: RGBColor = RGBColor(255, 152, 150);
const PEERS: [RGBColor; 8] = [
    RGBColor(31, 119, 180),
    RGBColor(148, 103, 189),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(127, 127, 127),
    RGBColor(23, 190, 207),
    RGBColor(140, 86, 75),
    RGBColor(188, 189, 34),
];

/// A line for each contender over the x axis, whose values stand at equal distances.
fn plot(
    family: &Family,
    cells: &[&Cell],
    unit: &str,
    value: impl Fn(&Cell, &str) -> Option<f64>,
) -> Result<String> {
    let labels: Vec<&str> = cells.iter().map(|cell| cell.get(&family.x).unwrap_or("")).collect();
    let contenders = family.contenders();
    let all = cells.iter().flat_map(|cell| contenders.iter().filter_map(|name| value(cell, name)));
    let top = all.fold(0.0, f64::max) * 1.05;
    let right = (labels.len().max(2) - 1) as f64;
    let broken = |error: String| anyhow!("drawing a plot: {error}");

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .caption(caption(family, cells[0]), ("sans-serif", 14))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(52)
            .right_y_label_area_size(0)
            // The legend has the last third to itself.
            .build_cartesian_2d(0.0..right * 1.45, 0.0..if top > 0.0 { top } else { 1.0 })
            .map_err(|error| broken(error.to_string()))?;
        chart
            .configure_mesh()
            .x_labels(2 * labels.len())
            .x_label_formatter(&|x| {
                let i = x.round() as usize;
                if (x - i as f64).abs() < 1e-6 {
                    labels.get(i).copied().unwrap_or("").to_owned()
                } else {
                    String::new()
                }
            })
            .x_desc(family.x.clone())
            .y_desc(unit)
            .light_line_style(TRANSPARENT)
            .draw()
            .map_err(|error| broken(error.to_string()))?;
        for (i, &contender) in contenders.iter().enumerate() {
            let style = match contender {
                "pysync" => OURS.stroke_width(3),
                _ if crate::model::is_ours(contender) => OURS_TOO.stroke_width(2),
                _ => PEERS[i % PEERS.len()].stroke_width(1),
            };
            let points: Vec<(f64, f64)> = cells
                .iter()
                .enumerate()
                .filter_map(|(x, cell)| Some((x as f64, value(cell, contender)?)))
                .collect();
            chart
                .draw_series(LineSeries::new(points, style).point_size(2))
                .map_err(|error| broken(error.to_string()))?
                .label(contender)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::MiddleRight)
            .background_style(WHITE)
            .draw()
            .map_err(|error| broken(error.to_string()))?;
        root.present().map_err(|error| broken(error.to_string()))?;
    }
    Ok(svg)
}
