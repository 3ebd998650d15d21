//! The guarded types in a model, as a user's code would have them there.

use pysync_lock::guarded::{Mutex, OnceCell, ReentrantMutex, RwLock, SeqLock, raw};
use pysync_testing::model::{Data, Explore, Unlock};

#[test]
fn guarded_mutex() {
    fn add_one(mutex: &Mutex<Data>) {
        mutex.lock().add_one();
    }

    for unlock in [Unlock::Wakes, Unlock::HandsOff] {
        let shared = || Mutex::from_raw(raw::Mutex::default(), Data::default());
        let model = Explore::new("guarded mutex").unlock(unlock);
        model.run(shared, [add_one, add_one], |mutex| assert_eq!(mutex.lock().get(), 2));
    }
}

#[test]
fn guarded_rw_lock() {
    type Pair = RwLock<[Data; 2]>;

    fn write(pair: &Pair) {
        pair.write().iter().for_each(Data::add_one);
    }

    fn read(pair: &Pair) {
        let data = pair.read();
        assert_eq!(data[0].get(), data[1].get());
    }

    let shared = || RwLock::from_raw(raw::RwLock::default(), Default::default());
    Explore::new("guarded rw lock").run(shared, [write, read], |pair| {
        assert_eq!(pair.read()[0].get(), 1);
    });
}

#[test]
fn guarded_reentrant_mutex() {
    fn add_one(mutex: &ReentrantMutex<Data>) {
        let outer = mutex.lock();
        let value = outer.get();
        let inner = mutex.lock();
        inner.set(value + 1);
    }

    let model = Explore::new("guarded reentrant mutex");
    model.run(ReentrantMutex::default, [add_one, add_one], |mutex| {
        assert_eq!(mutex.lock().get(), 2);
    });
}

/// Two words and a byte, so that what is left is copied as well.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, packed)]
struct Record(u64, u64, u8);

#[test]
fn guarded_seq_lock() {
    fn write(lock: &SeqLock<Record>) {
        lock.write(Record(1, 1, 1));
    }

    fn read(lock: &SeqLock<Record>) {
        let copy = lock.try_read();
        assert!(matches!(copy, None | Some(Record(0, 0, 0) | Record(1, 1, 1))), "torn");
    }

    Explore::new("guarded seq lock").run(SeqLock::default, [write, read], |lock| {
        assert_eq!(lock.read(), Record(1, 1, 1));
    });
}

fn seven() -> Data {
    Data::new(7)
}

fn get(cell: &OnceCell<Data>) {
    if let Some(data) = cell.get() {
        assert_eq!(data.get(), 7);
    }
}

fn get_or_init(cell: &OnceCell<Data>) {
    assert_eq!(cell.get_or_init(seven).get(), 7);
}

fn fail_to_init(cell: &OnceCell<Data>) {
    if let Ok(data) = cell.get_or_try_init(|| Err(())) {
        assert_eq!(data.get(), 7);
    }
}

#[test]
fn guarded_once_cell() {
    type Body = fn(&OnceCell<Data>);

    let others: [Body; 3] = [get_or_init, get, fail_to_init];
    for (name, other) in ["get_or_init", "get", "a failure"].into_iter().zip(others) {
        let model = Explore::new(format!("guarded once cell, {name}")).preemptions(4);
        model.run(OnceCell::default, [get_or_init, other], |cell| {
            assert_eq!(cell.get().unwrap().get(), 7);
        });
    }
}
