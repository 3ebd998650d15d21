//! Where the code lines of a symbol are in another version of it.

use std::collections::BTreeMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::index::{Entry, Text};
use super::lines::Lines;

pub(crate) struct LineMap {
    /// From an old code line to the new lines that say the same. Lines that changed are missing.
    to: BTreeMap<u32, Lines>,
    old: Lines,
    new: Lines,
}

impl LineMap {
    pub(crate) fn new(old: (&Entry, &Text), new: (&Entry, &Text)) -> Self {
        let to = if old.0.hash == new.0.hash { by_ink(old, new) } else { by_line(old, new) };
        Self { to, old: old.0.code.clone(), new: new.0.code.clone() }
    }

    /// The new lines for the code among these old ones, and the old lines that have none.
    pub(crate) fn carry(&self, lines: &Lines) -> (Lines, Lines) {
        let mut carried = Lines::default();
        let mut lost = Lines::default();
        for line in lines.and(&self.old).iter() {
            match self.to.get(&line) {
                Some(new) => carried = carried.union(new),
                None => lost.insert(line),
            }
        }
        (carried, lost)
    }

    /// The code among these old lines.
    pub(crate) fn old_code(&self, lines: &Lines) -> Lines {
        lines.and(&self.old)
    }

    /// New code lines that no old line became.
    pub(crate) fn added(&self) -> Lines {
        self.to.values().fold(self.new.clone(), |left, lines| left.minus(lines))
    }

    /// Old lines to look at again: those that changed, and those that have something new after
    /// them.
    pub(crate) fn touched(&self) -> Lines {
        let mut touched: Lines =
            self.old.iter().filter(|line| !self.to.contains_key(line)).collect();
        let back: BTreeMap<u32, u32> = self
            .to
            .iter()
            .flat_map(|(old, lines)| lines.iter().map(move |new| (new, *old)))
            .collect();
        for added in self.added().iter() {
            if let Some((_, old)) = back.range(..added).next_back() {
                touched.insert(*old);
            }
        }
        touched
    }
}

/// The text is the same and only its layout differs: character by character, blanks aside.
fn by_ink(
    (old, old_text): (&Entry, &Text),
    (new, new_text): (&Entry, &Text),
) -> BTreeMap<u32, Lines> {
    let mut owner: Vec<u32> = Vec::new();
    for line in new.first..=new.last {
        owner.extend(std::iter::repeat_n(line, new_text.ink(line)));
    }
    let mut at = 0;
    let mut to = BTreeMap::new();
    for line in old.first..=old.last {
        let ink = old_text.ink(line);
        if old.code.contains(line) {
            let lines: Lines = owner.iter().skip(at).take(ink).copied().collect();
            let code = lines.and(&new.code);
            if !code.is_empty() {
                to.insert(line, code);
            }
        }
        at += ink;
    }
    to
}

/// Line by line, whatever the white space.
fn by_line(
    (old, old_text): (&Entry, &Text),
    (new, new_text): (&Entry, &Text),
) -> BTreeMap<u32, Lines> {
    let text = |lines: &Lines, text: &Text| -> Vec<(u32, String)> {
        lines.iter().map(|line| (line, text.normalised(line, line))).collect()
    };
    let (old, new) = (text(&old.code, old_text), text(&new.code, new_text));
    let said = |lines: &[(u32, String)]| -> Vec<String> {
        lines.iter().map(|(_, text)| text.clone()).collect()
    };
    let mut to = BTreeMap::new();
    for op in capture_diff_slices(Algorithm::Patience, &said(&old), &said(&new)) {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            for at in 0..len {
                to.insert(old[old_index + at].0, [new[new_index + at].0].into_iter().collect());
            }
        }
    }
    to
}
