//! Sections let go while their thread waits or is detached, and have their mutexes again afterwards.

use pysync_parking_lot::{ParkStatus, Parker};

use super::*;

#[test]
fn detached() {
    fn nested(outer: &Object, inner: &Object, attached: &Attached) {
        outer.section(|| {
            inner.section(|| attached.detached(thread::yield_now));
            attached.detached(nothing);
        });
    }
    check(
        "detached in nested sections",
        [
            |s, a| nested(&s.objects[0], &s.objects[1], a),
            |s, a| nested(&s.objects[1], &s.objects[0], a),
            |s, _| section2(&s.objects[0], &s.objects[1], nothing),
        ],
        [6, 6, 0],
    );

    fn attach_inside(s: &Shared, attached: &Attached) {
        let [a, b, _] = &s.objects;
        a.section(|| {
            attached.detached(|| {
                let _inner = ThreadState::attach();
                assert_held(&a.mutex);
                b.section(nothing);
            });
        });
    }
    check("attached inside detached", [attach_inside; 2], [4, 4, 0]);
}

#[test]
fn waits() {
    check(
        "a wait that a section of the same mutex ends",
        [
            |s, _| s.objects[0].section(|| s.objects[1].section(|| s.event.wait())),
            |s, _| s.objects[0].section(|| s.objects[1].section(|| s.event.notify())),
        ],
        [4, 4, 0],
    );
    check(
        "timed waits in sections",
        [
            |s, _| {
                section2(&s.objects[0], &s.objects[1], || {
                    let _ = s.event.wait_timed(SOON, true);
                });
            },
            |s, _| {
                s.objects[1].section(|| {
                    if s.plain.lock_timed(SOON, LockFlags::DETACH) == LockStatus::Acquired {
                        s.plain.unlock();
                    }
                });
            },
            |s, _| {
                s.plain.lock();
                s.objects[1].section(nothing);
                s.plain.unlock();
                s.event.notify();
            },
        ],
        [2, 6, 0],
    );

    fn until_interrupted(s: &Shared, _: &Attached) {
        s.objects[0].section(|| {
            let flags = LockFlags::DETACH | LockFlags::FAIL_IF_INTERRUPTED;
            match s.plain.lock_flags(flags) {
                LockStatus::Acquired => s.plain.unlock(),
                status => assert_eq!(status, LockStatus::Interrupted),
            }
        });
    }
    fn in_the_way(s: &Shared, _: &Attached) {
        s.plain.lock();
        s.objects[0].section(nothing);
        s.plain.unlock();
    }
    let bodies: [Body; 3] = [until_interrupted, until_interrupted, in_the_way];
    check("interrupted waits in sections", bodies, [6, 0, 0]);
}

#[test]
fn other_primitives() {
    #[derive(Default)]
    struct Others {
        shared: Shared,
        parker: Parker,
        rw: RwMutex,
    }

    fn attached(s: &Others, body: fn(&Others, &Object)) {
        let _attached = ThreadState::attach();
        body(s, &s.shared.objects[0]);
    }
    let bodies: [fn(&Others, &Object); 3] = [
        |s, object| {
            object.section(|| {
                while s.parker.wait(None, true) != ParkStatus::Ok {}
                s.rw.read_lock();
                s.rw.read_unlock();
            });
        },
        |s, object| {
            s.rw.write_lock();
            s.parker.wakeup();
            s.rw.write_unlock();
            object.section(nothing);
        },
        |s, object| {
            object.section(|| {
                s.rw.write_lock();
                s.rw.write_unlock();
            });
        },
    ];
    try_out("parker and rwmutex in sections")
        .run_in(Others::default, attached, bodies, |s| s.shared.assert([6, 0, 0]));
}
