//! Sizes, layouts, statics, zeroed memory: what the memory of a lock is promised to be.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

mod common;

use std::mem::{MaybeUninit, align_of, size_of};
use std::thread;

use common::{event_bits, mutex_bits, once_bits, recursive_parts, rw_bits, seq_bits};
use pysync_lock::{
    Event, LockFlags, LockStatus, Mutex, OnceFlag, RawMutex, RecursiveMutex, RwMutex, SeqLock,
    guarded,
};

#[test]
fn locks_are_as_small_as_promised() {
    assert_eq!((size_of::<Mutex>(), align_of::<Mutex>()), (1, 1));
    assert_eq!((size_of::<Event>(), align_of::<Event>()), (1, 1));
    assert_eq!((size_of::<OnceFlag>(), align_of::<OnceFlag>()), (1, 1));
    assert_eq!((size_of::<SeqLock>(), align_of::<SeqLock>()), (4, 4));
    let word = (size_of::<usize>(), align_of::<usize>());
    assert_eq!((size_of::<RwMutex>(), align_of::<RwMutex>()), word);
    assert_eq!((size_of::<RawMutex>(), align_of::<RawMutex>()), word);
    #[cfg(target_pointer_width = "64")]
    assert_eq!((size_of::<RecursiveMutex>(), align_of::<RecursiveMutex>()), (24, 8));
}

#[test]
fn guarded_types_add_the_lock_and_padding_only() {
    assert_eq!(size_of::<guarded::Mutex<[u8; 3]>>(), 4);
    assert_eq!(size_of::<guarded::Mutex<u64>>(), 16);
    assert_eq!(size_of::<guarded::RwLock<u64>>(), 8 + size_of::<usize>());
    assert_eq!(size_of::<guarded::OnceCell<[u8; 7]>>(), 8);
    // Words need the alignment of one.
    assert_eq!(size_of::<guarded::SeqLock<u8>>(), 2 * size_of::<usize>());
    assert_eq!(size_of::<guarded::SeqLock<u64>>(), 16);
}

#[test]
fn flags_and_statuses_have_the_numbers_of_the_c() {
    assert_eq!(LockFlags::empty().bits(), 0);
    assert_eq!(LockFlags::DETACH.bits(), 1);
    assert_eq!(LockFlags::HANDLE_SIGNALS.bits(), 2);
    assert_eq!(LockFlags::FAIL_IF_INTERRUPTED.bits(), 4);
    assert_eq!(LockFlags::default(), LockFlags::empty());
    assert_eq!(LockStatus::Failure as i32, 0);
    assert_eq!(LockStatus::Acquired as i32, 1);
    assert_eq!(LockStatus::Interrupted as i32, 2);
    assert_eq!(size_of::<LockStatus>(), 4);
}

#[test]
fn locks_are_send_and_sync_and_static() {
    fn promised<T: Send + Sync + Default + std::fmt::Debug + 'static>() {}
    promised::<Mutex>();
    promised::<RawMutex>();
    promised::<RecursiveMutex>();
    promised::<RwMutex>();
    promised::<SeqLock>();
    promised::<Event>();
    promised::<OnceFlag>();
    promised::<guarded::Mutex<u8>>();
    promised::<guarded::RwLock<u8>>();
    promised::<guarded::ReentrantMutex<u8>>();
    promised::<guarded::SeqLock<u8>>();
    promised::<guarded::OnceCell<u8>>();
}

static MUTEX: Mutex = Mutex::new();
static RAW: RawMutex = RawMutex::new();
static RECURSIVE: RecursiveMutex = RecursiveMutex::new();
static RW: RwMutex = RwMutex::new();
static SEQ: SeqLock = SeqLock::new();
static EVENT: Event = Event::new();
static ONCE: OnceFlag = OnceFlag::new();
static GUARDED: guarded::Mutex<Vec<u32>> = guarded::Mutex::new(Vec::new());
static GUARDED_RW: guarded::RwLock<Option<String>> = guarded::RwLock::new(None);
static GUARDED_SEQ: guarded::SeqLock<[u32; 5]> = guarded::SeqLock::new([1; 5]);
static CELL: guarded::OnceCell<String> = guarded::OnceCell::new();
static REENTRANT: guarded::ReentrantMutex<u32> = guarded::ReentrantMutex::new(9);

#[test]
fn every_type_works_in_a_static() {
    let _watchdog = pysync_testing::watchdog();
    let use_all = || {
        for _ in 0..100 {
            MUTEX.lock();
            MUTEX.unlock();
            RAW.lock();
            RAW.unlock();
            RECURSIVE.lock();
            RECURSIVE.unlock();
            RW.read_lock();
            RW.read_unlock();
            RW.write_lock();
            RW.write_unlock();
            SEQ.lock_write();
            SEQ.unlock_write();
            assert_eq!(ONCE.call_once(|| Ok::<(), ()>(())), Ok(()));
            GUARDED.lock().push(1);
            *GUARDED_RW.write() = Some("text".into());
            assert_eq!(GUARDED_SEQ.read(), [1; 5]);
            assert_eq!(CELL.get_or_init(|| "value".into()), "value");
            assert_eq!(*REENTRANT.lock(), 9);
        }
        EVENT.notify();
        EVENT.wait();
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(use_all);
        }
    });
    assert_eq!(GUARDED.lock().len(), 400);
    assert_eq!(seq_bits(&SEQ), 800);
}

#[test]
fn zeroed_memory_is_an_unlocked_or_unset_value() {
    fn zeroed<T>() -> T {
        // SAFETY: what this test is about: each type promises that zeroes are valid.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }

    let mutex: Mutex = zeroed();
    assert!(mutex.try_lock());
    mutex.unlock();
    assert_eq!(mutex_bits(&mutex), 0);

    let raw: RawMutex = zeroed();
    assert!(raw.try_lock());
    raw.unlock();

    let recursive: RecursiveMutex = zeroed();
    assert!(!recursive.is_locked_by_current_thread());
    recursive.lock();
    recursive.unlock();
    assert_eq!(recursive_parts(&recursive), (0, 0, 0));

    let rw: RwMutex = zeroed();
    assert!(rw.try_write_lock());
    rw.write_unlock();
    assert!(rw.try_read_lock());
    rw.read_unlock();
    assert_eq!(rw_bits(&rw), 0);

    let seq: SeqLock = zeroed();
    assert!(seq.end_read(seq.begin_read()));

    let event: Event = zeroed();
    assert!(!event.is_set());
    event.notify();
    assert!(event.is_set());
    assert_eq!(event_bits(&event), 1);

    let once: OnceFlag = zeroed();
    assert!(!once.is_initialized());
    assert_eq!(once.call_once(|| Ok::<(), ()>(())), Ok(()));
    assert_eq!(once_bits(&once), 4);
}

#[test]
fn default_is_new() {
    assert!(!Mutex::default().is_locked());
    assert!(!RwMutex::default().is_locked());
    assert!(!Event::default().is_set());
    assert!(!OnceFlag::default().is_initialized());
    assert!(!RecursiveMutex::default().is_locked_by_current_thread());
    assert_eq!(SeqLock::default().begin_read(), 0);
    assert_eq!(guarded::SeqLock::<u16>::default().read(), 0);
    assert_eq!(guarded::OnceCell::<u16>::default().get(), None);
}

#[test]
fn debug_shows_the_state() {
    let mutex = Mutex::new();
    assert_eq!(format!("{mutex:?}"), "Mutex { locked: false }");
    mutex.lock();
    assert_eq!(format!("{mutex:?}"), "Mutex { locked: true }");
    mutex.unlock();

    let rw = RwMutex::new();
    rw.read_lock();
    assert_eq!(format!("{rw:?}"), "RwMutex { writer: false, readers: 1 }");
    rw.read_unlock();
    rw.write_lock();
    assert_eq!(format!("{rw:?}"), "RwMutex { writer: true, readers: 0 }");
    rw.write_unlock();

    let recursive = RecursiveMutex::new();
    recursive.lock();
    assert_eq!(
        format!("{recursive:?}"),
        "RecursiveMutex { locked: true, by_current_thread: true }"
    );
    recursive.unlock();

    let event = Event::new();
    assert_eq!(format!("{event:?}"), "Event { set: false }");
    event.notify();
    assert_eq!(format!("{event:?}"), "Event { set: true }");

    let seq = SeqLock::new();
    seq.lock_write();
    assert_eq!(format!("{seq:?}"), "SeqLock { writing: true }");
    seq.abandon_write();
    assert_eq!(format!("{seq:?}"), "SeqLock { writing: false }");

    let once = OnceFlag::new();
    assert_eq!(format!("{once:?}"), "OnceFlag { initialized: false }");
}
