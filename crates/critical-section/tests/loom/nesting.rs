//! Sections in sections: the inner one lets the outer one go while it waits.

use super::*;

fn of_a(s: &Shared, _: &Attached) {
    s.a.section(nothing);
}

fn a_b(s: &Shared, _: &Attached) {
    s.a.section(|| s.b.section(nothing));
}

fn b_a(s: &Shared, _: &Attached) {
    s.b.section(|| s.a.section(nothing));
}

#[test]
fn opposite_orders() {
    fn of_both(s: &Shared, _: &Attached) {
        s.section2(true, nothing);
    }
    check("opposite nestings, 2 threads", Some(6), [a_b, b_a], [4, 4]);
    // Six orders of starts: with three preemptions these alone take minutes.
    check("opposite nestings, and a third thread", Some(2), [a_b, b_a, of_both], [6, 6]);
}

#[test]
fn a_section_that_wakes_itself() {
    // The inner section waits for what its own thread's outer one holds.
    fn a_b_a(s: &Shared, _: &Attached) {
        s.a.section(|| s.b.section(|| s.a.section(nothing)));
    }
    check("a mutex taken over from an outer section", EXHAUSTIVE, [a_b_a], [4, 2]);
    check("the same, and another thread", Some(4), [a_b_a, of_a], [6, 2]);
}

#[test]
fn a_section_of_two_around_one_that_blocks() {
    fn one_in_two(s: &Shared, _: &Attached) {
        let inner = Object::default();
        s.section2(true, || inner.section(nothing));
    }
    fn two_in_one(s: &Shared, _: &Attached) {
        s.b.section(|| s.section2(false, nothing));
    }
    check("two in one and one in two", Some(4), [one_in_two, two_in_one], [4, 6]);
}
