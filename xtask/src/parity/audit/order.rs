//! Markers climb through the C, or say that they do not.

use std::collections::BTreeMap;

use super::coverage::Placement;
use crate::parity::index::Index;
use crate::parity::problem::Problem;
use crate::parity::rust::RustFile;

/// One step through a C function: a marker, by the first line that it gives.
#[derive(Clone, Copy)]
struct Step {
    /// Index into the file's markers.
    marker: usize,
    line: u32,
    out_of_order: bool,
}

/// Markers that go backwards without a word, and markers that say so and do not.
pub(super) fn check(index: &Index, files: &[RustFile], placements: &[Placement]) -> Vec<Problem> {
    let mut walks: BTreeMap<(usize, usize, usize), Vec<Step>> = BTreeMap::new();
    for placement in placements {
        let marker = &files[placement.file].markers[placement.marker];
        let walk = walks.entry((placement.file, placement.item, placement.symbol)).or_default();
        let line = marker.ranges[placement.range].first;
        match walk.last_mut() {
            // Several ranges are one step.
            Some(step) if step.marker == placement.marker => step.line = step.line.min(line),
            _ => walk.push(Step {
                marker: placement.marker,
                line,
                out_of_order: marker.out_of_order,
            }),
        }
    }
    // A marker about several symbols may be out of order in one of them only.
    let mut needed: BTreeMap<(usize, usize), bool> = BTreeMap::new();
    let mut problems = Vec::new();
    for ((file, _, symbol), walk) in &walks {
        let rust = &files[*file];
        let backward = backward(walk);
        for (step, after) in &backward {
            let message = format!(
                "L{} of {} after L{after}: markers climb; if Rust does it in another order, write \
                 `// L{}: out of order: why`",
                step.line, index.symbols[*symbol].name, step.line
            );
            problems.push(Problem::new(&rust.path, rust.markers[step.marker].at, message));
        }
        for (at, step) in walk.iter().enumerate().filter(|(_, step)| step.out_of_order) {
            let mut without = walk.clone();
            without[at].out_of_order = false;
            let helps = self::backward(&without).len() > backward.len();
            *needed.entry((*file, step.marker)).or_default() |= helps;
        }
    }
    for ((file, marker), needed) in needed {
        if !needed {
            let rust = &files[file];
            let message = "this marker says that it is out of order, and it is not";
            problems.push(Problem::new(&rust.path, rust.markers[marker].at, message));
        }
    }
    problems
}

/// The steps that go backwards, each with the line that they should not be before.
fn backward(walk: &[Step]) -> Vec<(Step, u32)> {
    let mut backward = Vec::new();
    // Where the walk stands. A step that is out of order may take it back and not ahead, so that
    // it goes on from either side.
    let mut reached: Option<u32> = None;
    for step in walk {
        match reached {
            _ if step.out_of_order => reached = reached.map(|line| line.min(step.line)),
            Some(line) if step.line < line => {
                backward.push((*step, line));
                reached = Some(step.line);
            }
            _ => reached = Some(step.line),
        }
    }
    backward
}

#[cfg(test)]
mod tests {
    use super::{Step, backward};

    /// Negative lines are out of order.
    fn complaints(lines: &[i32]) -> Vec<(u32, u32)> {
        let walk: Vec<Step> = lines
            .iter()
            .enumerate()
            .map(|(marker, line)| Step {
                marker,
                line: line.unsigned_abs(),
                out_of_order: *line < 0,
            })
            .collect();
        backward(&walk).into_iter().map(|(step, after)| (step.line, after)).collect()
    }

    #[test]
    fn climbing_is_fine_and_so_is_standing_still() {
        assert_eq!(complaints(&[5, 5, 9, 20]), []);
    }

    #[test]
    fn a_step_back_is_said_once() {
        assert_eq!(complaints(&[5, 20, 10, 15]), [(10, 20)]);
    }

    #[test]
    fn what_says_so_may_come_early_or_late() {
        assert_eq!(complaints(&[5, -20, 10, 15]), []);
        assert_eq!(complaints(&[5, 20, -10, 15, 30]), []);
        assert_eq!(complaints(&[-20, 5]), []);
    }

    #[test]
    fn an_exception_excuses_no_other() {
        assert_eq!(complaints(&[5, -20, 3]), [(3, 5)]);
        assert_eq!(complaints(&[5, 20, -10, 7]), [(7, 10)]);
    }
}
