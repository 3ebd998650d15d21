//! Sections let go while their thread is detached, and have their mutexes again afterwards.

use super::*;

#[test]
fn detached() {
    fn of_a(s: &Shared, _: &Attached) {
        s.a.section(nothing);
    }
    fn detach(s: &Shared, attached: &Attached) {
        s.a.section(|| {
            attached.detached(nothing);
            assert_held(&s.a.mutex);
        });
    }
    check("detached, and a section", Some(6), [of_a, detach], [4, 0]);
    check("detached, 2 threads", Some(5), [detach, detach], [4, 0]);
    check("detached, and two sections", Some(3), [of_a, of_a, detach], [6, 0]);
}

#[test]
fn a_wait() {
    // The event happens in a section of the mutex that the waiting thread has let go of.
    let bodies: [Body; 2] =
        [|s, _| s.a.section(|| s.event.wait()), |s, _| s.a.section(|| s.event.notify())];
    check("a wait in a section", Some(5), bodies, [4, 0]);
}

#[test]
fn a_wait_in_nested_sections() {
    let bodies: [Body; 2] = [
        |s, _| s.a.section(|| s.b.section(|| s.event.wait())),
        |s, _| s.b.section(|| s.a.section(|| s.event.notify())),
    ];
    check("a wait in nested sections", Some(4), bodies, [4, 4]);
}

#[test]
fn a_wait_in_a_section_of_two() {
    // gh-155400: one resumes both, the other holds the second and wants the first.
    let bodies: [Body; 2] = [
        |s, _| s.section2(false, || s.event.wait()),
        |s, _| {
            s.event.notify();
            s.b.section(|| s.a.section(nothing));
        },
    ];
    check("a wait in a section of two", Some(4), bodies, [4, 4]);
}
