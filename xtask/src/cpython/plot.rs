//! The benchmark as a picture: acquisitions by threads, a panel for each section length.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::lockbench::{Row, of_section};

const PANEL: (u32, u32) = (420, 320);
const C_COLOUR: RGBColor = RGBColor(0x99, 0x99, 0x99);
const FAITHFUL_COLOUR: RGBColor = RGBColor(0xe3, 0xb0, 0x8f);
const RUST_COLOUR: RGBColor = RGBColor(0xb7, 0x41, 0x0e);

/// What a line shows of a row.
type Value = fn(&Row) -> f64;

pub(super) fn draw(path: &Path, rows: &[Row]) -> Result<()> {
    let mut sections: Vec<u32> = rows.iter().map(|row| row.section).collect();
    sections.dedup();
    let size = (PANEL.0 * sections.len() as u32, PANEL.1);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, section) in area.split_evenly((1, sections.len())).iter().zip(sections) {
        let rows = of_section(rows, section)?;
        let threads = rows.iter().map(|row| row.threads).max().unwrap_or(1);
        let fastest = rows.iter().flat_map(|row| [row.baseline, row.rust]).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(panel)
            .caption(format!("section {section}"), ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(34)
            .y_label_area_size(48)
            .build_cartesian_2d(1..threads, 0.0..fastest * 1.1 / 1000.0)?;
        chart.configure_mesh().x_desc("threads").y_desc("M acquisitions/s").draw()?;
        let lines: [(&str, RGBColor, Value); 3] = [
            ("CPython's own", C_COLOUR, |row| row.baseline),
            ("pysync, waiting as C does", FAITHFUL_COLOUR, |row| row.faithful),
            ("pysync", RUST_COLOUR, |row| row.rust),
        ];
        for (name, colour, value) in lines {
            let points = rows.iter().map(move |row| (row.threads, value(row) / 1000.0));
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE)
            .draw()?;
    }
    area.present().map_err(|error| anyhow!("{}: {error}", path.display()))
}
