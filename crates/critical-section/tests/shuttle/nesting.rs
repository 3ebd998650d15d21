//! Sections in sections, in orders that would deadlock if they were plain locks.

use super::*;

#[test]
fn opposite_nestings() {
    check(
        "opposite nestings",
        [
            |s, _| (0..2).for_each(|_| nest(&s.objects[0], &s.objects[1])),
            |s, _| (0..2).for_each(|_| nest(&s.objects[1], &s.objects[0])),
        ],
        [8, 8, 0],
    );
}

#[test]
fn nestings_in_a_circle() {
    check(
        "nestings in a circle",
        [
            |s, _| nest(&s.objects[0], &s.objects[1]),
            |s, _| nest(&s.objects[1], &s.objects[2]),
            |s, _| nest(&s.objects[2], &s.objects[0]),
        ],
        [4, 4, 4],
    );
}

#[test]
fn sections_of_two() {
    check(
        "sections of two in a circle",
        [
            |s, _| section2(&s.objects[0], &s.objects[1], nothing),
            |s, _| section2(&s.objects[2], &s.objects[1], nothing),
            |s, _| section2(&s.objects[2], &s.objects[0], nothing),
        ],
        [4, 4, 4],
    );
    check(
        "sections of one and of two, nested",
        [
            |s, _| section2(&s.objects[0], &s.objects[1], || s.objects[2].section(nothing)),
            |s, _| s.objects[2].section(|| section2(&s.objects[1], &s.objects[0], nothing)),
            |s, _| nest(&s.objects[1], &s.objects[0]),
        ],
        [6, 6, 4],
    );
    check(
        "gh-156910: sections of two in sections of two",
        [
            |s, _| {
                section2(&s.objects[0], &s.objects[1], || {
                    section2(&s.objects[1], &s.objects[2], nothing);
                });
            },
            |s, _| {
                section2(&s.objects[2], &s.objects[1], || {
                    section2(&s.objects[0], &s.objects[2], nothing);
                });
            },
        ],
        [4, 6, 6],
    );
}

#[test]
fn taken_over() {
    fn a_b_a(s: &Shared, _: &Attached) {
        let [a, b, _] = &s.objects;
        a.section(|| b.section(|| a.section(nothing)));
    }
    let bodies: [Body; 3] = [a_b_a, a_b_a, |s, _| s.objects[0].section(nothing)];
    check("a mutex taken over from an outer section", bodies, [10, 4, 0]);
}
