//! Blank rows that bring what belongs together to the same height.
//!
//! All rows are as high as each other, and a card's heading as high as two, so heights are counted
//! here and the pages need no script to line up.

use std::cmp::Ordering;

/// Rows that a card's heading takes, and that are between two cards.
const HEADING: u32 = 2;
const BETWEEN: u32 = 1;

/// A row on the left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// Whether the row may be pushed down with the row after it: a comment that leads to it.
    pub(super) leads: bool,
}

/// A card on the right.
pub(super) struct Right {
    /// How high it is without its heading.
    pub(super) rows: u32,
    /// For each row of it that begins a block, its position, and the row on the left where the
    /// block begins. A card that is one block as a whole has its heading for a joint.
    pub(super) joints: Vec<(u32, usize)>,
    pub(super) whole: bool,
}

/// Blank rows to put in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    /// Before each row on the left.
    pub(super) left: Vec<u32>,
    /// Before each card.
    pub(super) cards: Vec<u32>,
    /// Before each joint of each card.
    pub(super) joints: Vec<Vec<u32>>,
}

/// How wide a gap may be, in rows: on the left and between cards, and inside a card, where it
/// tears apart what one reads as one.
pub(super) const LIMITS: (u32, u32) = (60, 10);

/// Blocks that follow each other on both sides are brought to the same height. One that goes back
/// stays where it is, and so does one that would need too wide a gap.
pub(super) fn align(left: &[Left], right: &[Right]) -> Gaps {
    let mut gaps = Gaps { left: vec![0; left.len()], ..Gaps::default() };
    let mut pushed = 0;
    // Rows on the left before this one keep their places.
    let mut fixed = 0;
    let mut height = 0;
    for (at, card) in right.iter().enumerate() {
        if at > 0 {
            height += BETWEEN;
        }
        let mut before_card = 0;
        let mut joints = vec![0; card.joints.len()];
        let mut inside = 0;
        let mut placed = false;
        for (number, (row, to)) in card.joints.iter().enumerate() {
            let heading = if card.whole { 0 } else { HEADING };
            let here = height + heading + inside + row;
            let there = HEADING + pushed + *to as u32;
            // The first card stays on top, beside the heading on the left, and nothing on the left
            // waits for a card that is only a note.
            let may_move = at > 0 && !placed;
            let limit = match here.cmp(&there) {
                Ordering::Greater if card.whole => 0,
                Ordering::Less if card.whole && at == 0 => 0,
                Ordering::Less if !may_move => LIMITS.1,
                _ => LIMITS.0,
            };
            if *to < fixed || here.abs_diff(there) > limit {
                continue;
            }
            placed = true;
            if there > here {
                if may_move {
                    before_card = there - here;
                    height += before_card;
                } else {
                    joints[number] = there - here;
                    inside += there - here;
                }
            } else if here > there {
                let leading = (fixed..*to).rev().take_while(|row| left[*row].leads).count();
                gaps.left[to - leading] += here - there;
                pushed += here - there;
            }
            fixed = to + 1;
        }
        height += HEADING + inside + card.rows;
        gaps.cards.push(before_card);
        gaps.joints.push(joints);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::{Left, Right, align};

    fn left(rows: usize) -> Vec<Left> {
        vec![Left { leads: false }; rows]
    }

    fn card(rows: u32, joints: &[(u32, usize)]) -> Right {
        Right { rows, joints: joints.to_vec(), whole: false }
    }

    #[test]
    fn what_begins_later_on_one_side_waits_for_it() {
        // The third Rust row stands for the sixth C row, the fifth for the seventh.
        let gaps = align(&left(8), &[card(6, &[(0, 0), (2, 5), (4, 6)])]);
        assert_eq!(gaps.joints, [[0, 3, 0]]);
        // The fifth has come to the eighth row by then, so the seventh C row moves down by one.
        assert_eq!(gaps.left, [0, 0, 0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn what_goes_back_stays() {
        let gaps = align(&left(5), &[card(4, &[(0, 3), (2, 1)])]);
        assert_eq!((gaps.joints, gaps.left), (vec![vec![3, 0]], vec![0; 5]));
    }

    #[test]
    fn a_leading_comment_moves_along() {
        let mut rows = left(4);
        rows[2].leads = true;
        assert_eq!(align(&rows, &[card(9, &[(0, 0), (5, 3)])]).left, [0, 0, 2, 0]);
    }

    #[test]
    fn a_second_card_is_moved_as_a_whole() {
        let gaps = align(&left(10), &[card(1, &[(0, 0)]), card(2, &[(1, 9)])]);
        // Two rows of heading, one row, one between, two of heading: the row is the eighth.
        assert_eq!((gaps.cards, gaps.joints), (vec![0, 4], vec![vec![0], vec![0]]));
    }

    #[test]
    fn what_goes_back_does_not_keep_a_card_from_its_place() {
        let right = [card(1, &[(0, 0)]), card(3, &[(0, 0), (1, 9)])];
        assert_eq!(align(&left(10), &right).cards, [0, 4]);
    }

    #[test]
    fn no_gap_is_too_wide() {
        assert_eq!(align(&left(90), &[card(2, &[(1, 20)])]).joints, [[0]]);
        assert_eq!(align(&left(90), &[card(1, &[]), card(1, &[(0, 70)])]).cards, [0, 0]);
        assert_eq!(align(&left(90), &[card(80, &[(70, 1)])]).left, [0; 90]);
    }

    #[test]
    fn a_card_that_is_one_block_stands_beside_its_lines() {
        let ledger = || Right { rows: 2, joints: vec![(0, 6)], whole: true };
        assert_eq!(align(&left(9), &[ledger()]).cards, [0]);
        assert_eq!(align(&left(9), &[card(1, &[(0, 0)]), ledger()]).cards, [0, 4]);
        let late = align(&left(9), &[card(12, &[(0, 0)]), ledger()]);
        assert_eq!((late.cards, late.left), (vec![0, 0], vec![0; 9]));
    }
}
