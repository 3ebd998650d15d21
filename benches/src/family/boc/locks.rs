//! Tasks of rayon that lock what they name, in the order of addresses.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, RwLock};

use happylock::{LockCollection, ThreadKey};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::engine::Engine;

/// Mutexes and readers-writer locks, taken one or two at a time.
pub(super) trait Locks: 'static {
    const NAME: &'static str;
    type Mutex<T: Send + Sync + 'static>: Send + Sync;
    type RwLock<T: Send + Sync + 'static>: Send + Sync;

    fn mutex<T: Send + Sync + 'static>(value: T) -> Self::Mutex<T>;
    fn rw_lock<T: Send + Sync + 'static>(value: T) -> Self::RwLock<T>;

    fn lock<T: Send + Sync + 'static>(mutex: &Self::Mutex<T>, body: impl FnOnce(&mut T));

    /// Two that differ.
    fn lock_both<T: Send + Sync + 'static, U: Send + Sync + 'static>(
        first: &Self::Mutex<T>,
        second: &Self::Mutex<U>,
        body: impl FnOnce(&mut T, &mut U),
    );

    fn read<T: Send + Sync + 'static>(lock: &Self::RwLock<T>, body: impl FnOnce(&T));
    fn write<T: Send + Sync + 'static>(lock: &Self::RwLock<T>, body: impl FnOnce(&mut T));
}

/// Those of std.
pub(super) struct Std;

const PANICKED: &str = "no body panics";

impl Locks for Std {
    const NAME: &'static str = "rayon std";
    type Mutex<T: Send + Sync + 'static> = Mutex<T>;
    type RwLock<T: Send + Sync + 'static> = RwLock<T>;

    fn mutex<T: Send + Sync + 'static>(value: T) -> Mutex<T> {
        Mutex::new(value)
    }

    fn rw_lock<T: Send + Sync + 'static>(value: T) -> RwLock<T> {
        RwLock::new(value)
    }

    #[inline]
    fn lock<T: Send + Sync + 'static>(mutex: &Mutex<T>, body: impl FnOnce(&mut T)) {
        body(&mut mutex.lock().expect(PANICKED));
    }

    #[inline]
    fn lock_both<T: Send + Sync + 'static, U: Send + Sync + 'static>(
        first: &Mutex<T>,
        second: &Mutex<U>,
        body: impl FnOnce(&mut T, &mut U),
    ) {
        let (mut a, mut b);
        if std::ptr::from_ref(first).addr() < std::ptr::from_ref(second).addr() {
            a = first.lock().expect(PANICKED);
            b = second.lock().expect(PANICKED);
        } else {
            b = second.lock().expect(PANICKED);
            a = first.lock().expect(PANICKED);
        }
        body(&mut a, &mut b);
    }

    #[inline]
    fn read<T: Send + Sync + 'static>(lock: &RwLock<T>, body: impl FnOnce(&T)) {
        body(&lock.read().expect(PANICKED));
    }

    #[inline]
    fn write<T: Send + Sync + 'static>(lock: &RwLock<T>, body: impl FnOnce(&mut T)) {
        body(&mut lock.write().expect(PANICKED));
    }
}

/// Those of happylock, which sorts them itself.
pub(super) struct Happy;

fn key() -> ThreadKey {
    ThreadKey::get().expect("a task locks once at a time")
}

impl Locks for Happy {
    const NAME: &'static str = "happylock";
    type Mutex<T: Send + Sync + 'static> = happylock::Mutex<T>;
    type RwLock<T: Send + Sync + 'static> = happylock::RwLock<T>;

    fn mutex<T: Send + Sync + 'static>(value: T) -> happylock::Mutex<T> {
        happylock::Mutex::new(value)
    }

    fn rw_lock<T: Send + Sync + 'static>(value: T) -> happylock::RwLock<T> {
        happylock::RwLock::new(value)
    }

    #[inline]
    fn lock<T: Send + Sync + 'static>(mutex: &happylock::Mutex<T>, body: impl FnOnce(&mut T)) {
        body(&mut mutex.lock(key()));
    }

    #[inline]
    fn lock_both<T: Send + Sync + 'static, U: Send + Sync + 'static>(
        first: &happylock::Mutex<T>,
        second: &happylock::Mutex<U>,
        body: impl FnOnce(&mut T, &mut U),
    ) {
        let both = LockCollection::try_new((first, second)).expect("two that differ");
        let mut guard = both.lock(key());
        let (a, b) = &mut *guard;
        body(a, b);
    }

    #[inline]
    fn read<T: Send + Sync + 'static>(lock: &happylock::RwLock<T>, body: impl FnOnce(&T)) {
        body(&lock.read(key()));
    }

    #[inline]
    fn write<T: Send + Sync + 'static>(lock: &happylock::RwLock<T>, body: impl FnOnce(&mut T)) {
        body(&mut lock.write(key()));
    }
}

pub(super) struct Rayon<L> {
    pub(super) pool: ThreadPool,
    locks: PhantomData<L>,
}

impl<L: Locks> Rayon<L> {
    #[inline]
    fn spawn(from: Option<&Self>, task: impl FnOnce() + Send + 'static) {
        match from {
            None => rayon::spawn(task),
            Some(this) => this.pool.spawn(task),
        }
    }
}

impl<L: Locks> Engine for Rayon<L> {
    const NAME: &'static str = L::NAME;
    type Cown<T: Send + Sync + 'static> = Arc<L::Mutex<T>>;
    type Shared<T: Send + Sync + 'static> = Arc<L::RwLock<T>>;

    fn new(workers: usize) -> Self {
        let pool = ThreadPoolBuilder::new().num_threads(workers).build();
        Self { pool: pool.expect("threads for the pool"), locks: PhantomData }
    }

    fn cown<T: Send + Sync + 'static>(value: T) -> Self::Cown<T> {
        Arc::new(L::mutex(value))
    }

    fn shared<T: Send + Sync + 'static>(value: T) -> Self::Shared<T> {
        Arc::new(L::rw_lock(value))
    }

    #[inline]
    fn free(from: Option<&Self>, body: impl FnOnce() + Send + 'static) {
        Self::spawn(from, body);
    }

    #[inline]
    fn one<T: Send + Sync + 'static>(
        from: Option<&Self>,
        cown: Self::Cown<T>,
        body: impl FnOnce(&mut T) + Send + 'static,
    ) {
        Self::spawn(from, move || L::lock(&cown, body));
    }

    #[inline]
    fn two<T: Send + Sync + 'static, U: Send + Sync + 'static>(
        from: Option<&Self>,
        (first, second): (Self::Cown<T>, Self::Cown<U>),
        body: impl FnOnce(&mut T, &mut U) + Send + 'static,
    ) {
        Self::spawn(from, move || L::lock_both(&first, &second, body));
    }

    #[inline]
    fn read<T: Send + Sync + 'static>(
        from: Option<&Self>,
        shared: Self::Shared<T>,
        body: impl FnOnce(&T) + Send + 'static,
    ) {
        Self::spawn(from, move || L::read(&shared, body));
    }

    #[inline]
    fn write<T: Send + Sync + 'static>(
        from: Option<&Self>,
        shared: Self::Shared<T>,
        body: impl FnOnce(&mut T) + Send + 'static,
    ) {
        Self::spawn(from, move || L::write(&shared, body));
    }
}
