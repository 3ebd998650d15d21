//! Data behind the mutex, and the memory that it is in.
#![cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(any(pysync_loom, pysync_shuttle))
))]

use std::mem;
use std::thread;

use pysync_robust::{
    Error, Kind, Memory, Private, RobustMutex, SIZE, Shared, SharedAcquired, State, Timeout,
};
use pysync_testing::{together, watchdog};

const TRY: Timeout = Timeout::Try;
const NEVER: Timeout = Timeout::Never;

fn die_with<M: Memory + Send + Sync>(shared: &Shared<[u32; 2], M>, write: fn(&mut [u32; 2])) {
    thread::scope(|s| {
        s.spawn(|| {
            let mut held = shared.acquire(NEVER).unwrap().repaired(|_| ());
            write(&mut held);
            mem::forget(held);
        })
        .join()
        .unwrap();
    });
}

fn shared() -> Shared<[u32; 2], Private> {
    Shared::initialize(Private::new(4096), 7, [1, 2]).unwrap()
}

#[test]
fn guards_deref_to_the_data() {
    let shared = shared();
    let mut guard = match shared.acquire(TRY).unwrap() {
        SharedAcquired::Clean(guard) => guard,
        SharedAcquired::OwnerDied(_) => panic!("no owner has died"),
    };
    assert_eq!(*guard, [1, 2]);
    guard[1] = 3;
    assert_eq!(shared.acquire(TRY).map(drop), Err(Error::Deadlock));
    assert_eq!(format!("{guard:?}"), "SharedGuard([1, 3])");
    drop(guard);
    assert_eq!(*shared.acquire(TRY).unwrap().repaired(|_| ()), [1, 3]);
}

#[test]
fn half_written_data_is_shown_for_repair() {
    let shared = shared();
    die_with(&shared, |data| data[0] = 10);
    let SharedAcquired::OwnerDied(mut died) = shared.acquire(NEVER).unwrap() else {
        panic!("the owner has died")
    };
    assert_eq!(*died, [10, 2]);
    died[1] = 20;
    let guard = died.make_consistent();
    assert_eq!(*guard, [10, 20]);
    drop(guard);

    die_with(&shared, |data| data[1] = 30);
    assert_eq!(*shared.acquire(NEVER).unwrap().repaired(|data| data[0] = 15), [15, 30]);
    die_with(&shared, |_| ());
    match shared.acquire(NEVER).unwrap() {
        SharedAcquired::OwnerDied(died) => died.give_up(),
        SharedAcquired::Clean(_) => panic!("the owner has died"),
    }
    assert_eq!(shared.acquire(NEVER).map(drop), Err(Error::NotRecoverable));
    shared.reinitialize([5, 6]).unwrap();
    assert_eq!(*shared.acquire(TRY).unwrap().repaired(|_| ()), [5, 6]);
}

#[test]
fn threads_count_together() {
    let _watchdog = watchdog();
    let shared = shared();
    let rounds = if cfg!(miri) { 10 } else { 5_000 };
    together(3, |_| {
        for _ in 0..rounds {
            let mut data = shared.acquire(NEVER).unwrap().repaired(|_| ());
            assert_eq!(data[0] + 1, data[1]);
            data[0] += 1;
            data[1] += 1;
        }
    });
    assert_eq!(*shared.acquire(TRY).unwrap().repaired(|_| ()), [1 + 3 * rounds, 2 + 3 * rounds]);
}

#[test]
fn the_data_is_at_its_alignment() {
    #[derive(Clone, Copy)]
    #[repr(C, align(256))]
    struct Wide([u8; 256]);
    // SAFETY: bytes, as many as its alignment.
    unsafe impl bytemuck::Zeroable for Wide {}
    // SAFETY: as above.
    unsafe impl bytemuck::Pod for Wide {}

    assert_eq!((Shared::<u8, Private>::OFFSET, Shared::<u64, Private>::BYTES), (SIZE, SIZE + 8));
    assert_eq!((Shared::<Wide, Private>::OFFSET, Shared::<Wide, Private>::BYTES), (256, 512));
    let memory = Private::new(512);
    let by = memory.bytes().cast::<u8>().addr().get() % 256;
    let made = Shared::initialize(memory, 0, Wide([1; 256])).map(drop);
    assert_eq!(made, if by == 0 { Ok(()) } else { Err(Error::Misaligned { by }) });
    let small = Shared::initialize(Private::new(SIZE + 7), 0, 0_u64).map(drop);
    assert_eq!(small, Err(Error::TooSmall { len: SIZE + 7, need: SIZE + 8 }));
}

/// Segments are mappings, which Miri does not have.
#[cfg(not(miri))]
mod in_a_segment {
    use std::fs::File;
    use std::io::{Seek, SeekFrom, Write};
    use std::os::fd::AsFd;

    use pysync_robust::{Segment, Shared};

    use super::*;

    #[test]
    fn other_data_is_refused() {
        let segment = Segment::new(4096).unwrap();
        let part = || segment.part(0, 1024).unwrap();
        let shared = Shared::initialize(part(), 7, [1_u32, 2]).unwrap();
        assert!(Shared::<[u32; 2], _>::attach(part(), 7).is_ok());
        let refused = |attached: Result<(), Error>| {
            assert!(matches!(attached, Err(Error::Data { .. })), "{attached:?}");
        };
        refused(Shared::<[u32; 2], _>::attach(part(), 8).map(drop));
        refused(Shared::<[u32; 3], _>::attach(part(), 7).map(drop));
        refused(Shared::<u64, _>::attach(part(), 7).map(drop));
        refused(Shared::open(part(), 7, 1_u64, TRY).map(drop));
        // The mutex alone is another matter.
        let mutex = RobustMutex::attach(part()).unwrap();
        drop(mutex.acquire(TRY).unwrap().repaired(|| ()));

        // One that has attached before finds out.
        shared.destroy().unwrap();
        let other = Shared::initialize(part(), 9, [3_u32, 4]).unwrap();
        refused(shared.acquire(TRY).map(drop));
        assert_eq!(other.state(), Ok(State::Free));
        die_with(&other, |_| ());
        refused(shared.acquire(TRY).map(drop));
        // It has not taken the news away.
        assert!(matches!(other.acquire(TRY), Ok(SharedAcquired::OwnerDied(_))));
    }

    /// The memory has been made a recursive mutex, which the thread holds. An attempt to get at the data that
    /// was there must not release it.
    #[test]
    fn a_refusal_takes_back_one_level_only() {
        let segment = Segment::new(4096).unwrap();
        let part = || segment.part(0, 1024).unwrap();
        let shared = Shared::initialize(part(), 7, [1_u32, 2]).unwrap();
        shared.destroy().unwrap();
        let mutex = RobustMutex::initialize(part(), Kind::Recursive).unwrap();
        let guard = mutex.acquire(TRY).unwrap().repaired(|| ());
        assert!(matches!(shared.acquire(TRY).map(drop), Err(Error::Data { .. })));
        thread::scope(|s| {
            let other = s.spawn(|| mutex.acquire(TRY).map(drop));
            assert_eq!(other.join().unwrap(), Err(Error::Busy), "two owners");
        });
        drop(guard);
        assert_eq!(mutex.state(), Ok(State::Free));
    }

    #[test]
    fn one_of_many_makes_it() {
        let _watchdog = watchdog();
        for _ in 0..200 {
            let segment = Segment::new(4096).unwrap();
            let count = Shared::initialize(Private::new(SIZE + 8), 0, 0_u64).unwrap();
            together(4, |id| {
                let part = segment.part(0, 4096).unwrap();
                let value = [id as u32, id as u32 + 1];
                let (shared, ours) = Shared::open(part, 1, value, NEVER).unwrap();
                *count.acquire(NEVER).unwrap().repaired(|_| ()) += u64::from(ours);
                let data = *shared.acquire(NEVER).unwrap().repaired(|_| ());
                assert_eq!(data[0] + 1, data[1], "a process that attaches sees a whole value");
            });
            assert_eq!(*count.acquire(TRY).unwrap().repaired(|_| ()), 1);
        }
    }

    #[test]
    fn parts_do_not_overlap() {
        let segment = Segment::new(4096).unwrap();
        assert_eq!(segment.len(), 4096);
        let first = segment.part(0, 256).unwrap();
        let again = segment.part(0, 256).unwrap();
        assert_eq!(first.bytes(), again.bytes());
        let _next = segment.part(256, 128).unwrap();
        for (offset, len) in [(0, 255), (0, 257), (128, 128), (255, 1), (8, 4088), (383, 1)] {
            assert_eq!(segment.part(offset, len).map(drop), Err(Error::Overlap), "{offset} {len}");
        }
        drop(first);
        assert_eq!(segment.part(128, 128).map(drop), Err(Error::Overlap), "one is left");
        drop(again);
        assert!(segment.part(128, 128).is_ok());
        for (offset, len) in [(0, 4097), (4096, 1), (usize::MAX, 2), (8, usize::MAX)] {
            let refused = segment.part(offset, len).map(drop);
            assert!(matches!(refused, Err(Error::TooSmall { len: 4096, .. })), "{refused:?}");
        }
    }

    #[test]
    fn a_new_segment_is_sealed() {
        let segment = Segment::new(4096).unwrap();
        // SAFETY: it is not written to below, since that fails, or only by the mutex.
        let file = File::from(unsafe { segment.fd() }.unwrap().try_clone_to_owned().unwrap());
        assert!(file.set_len(0).is_err() && file.set_len(8192).is_err());
        // SAFETY: this crate, and the same parts.
        let second = unsafe { Segment::map(file.as_fd()) }.unwrap();
        drop(file);
        let mutex = RobustMutex::initialize(segment.part(0, SIZE).unwrap(), Kind::Plain).unwrap();
        let guard = mutex.acquire(TRY).unwrap();
        let mapped_again = RobustMutex::attach(second.part(0, SIZE).unwrap()).unwrap();
        assert_eq!(mapped_again.acquire(TRY).map(drop), Err(Error::Deadlock));
        drop(guard);
        drop(mapped_again.acquire(TRY).unwrap().repaired(|| ()));
    }

    #[test]
    fn names_are_found_and_taken_away() {
        let name = format!("/pysync-robust-test-{}", std::process::id());
        // SAFETY: no other process knows the name.
        unsafe {
            assert_eq!(Segment::open(&name).map(drop), Err(Error::Os(libc::ENOENT)));
            let ours = Segment::create(&name, 4096).unwrap();
            assert_eq!(Segment::create(&name, 4096).map(drop), Err(Error::Os(libc::EEXIST)));
            let theirs = Segment::open(&name).unwrap();
            let part = ours.part(0, 4096).unwrap();
            let counter = Shared::initialize(part, 0, 41_u64).unwrap();
            *counter.acquire(TRY).unwrap().repaired(|_| ()) += 1;
            Segment::unlink(&name).unwrap();
            assert_eq!(Segment::open(&name).map(drop), Err(Error::Os(libc::ENOENT)));
            assert_eq!(Segment::unlink(&name), Err(Error::Os(libc::ENOENT)));
            let counter = Shared::<u64, _>::attach(theirs.part(0, 4096).unwrap(), 0).unwrap();
            assert_eq!(*counter.acquire(TRY).unwrap().repaired(|_| ()), 42);
        }
    }

    #[test]
    fn a_file_that_is_too_short_has_no_mutex() {
        let path = std::env::temp_dir().join(format!("pysync-robust-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        for len in [0, 1, SIZE - 1, SIZE] {
            file.set_len(0).unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.write_all(&vec![0; len]).unwrap();
            // SAFETY: the file has no name, and is not shrunk while it is mapped.
            let segment = match unsafe { Segment::map(file.as_fd()) } {
                Ok(segment) => segment,
                Err(error) => {
                    assert_eq!((error.errno(), len), (libc::EINVAL, 0));
                    continue;
                }
            };
            let made = segment
                .part(0, SIZE)
                .and_then(|part| RobustMutex::initialize(part, Kind::Plain).map(drop));
            let expected =
                if len < SIZE { Err(Error::TooSmall { len, need: SIZE }) } else { Ok(()) };
            assert_eq!(made, expected);
        }
    }
}
