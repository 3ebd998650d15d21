//! Mutexes with the condition variables that belong to them, each as its users would.

use std::fmt;
use std::ops::DerefMut;

use event_listener::{Listener, listener};

pub(crate) trait Monitor: 'static {
    type Mutex<T: Send + 'static>: Send + Sync;
    type Guard<'a, T: Send + 'static>: DerefMut<Target = T>;
    type Condvar: Default + Send + Sync;

    fn mutex<T: Send + 'static>(data: T) -> Self::Mutex<T>;
    fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> Self::Guard<'_, T>;
    /// May return without a notification.
    fn wait<'a, T: Send + 'static>(
        condvar: &Self::Condvar,
        guard: Self::Guard<'a, T>,
    ) -> Self::Guard<'a, T>;
    fn notify_one(condvar: &Self::Condvar);
    fn notify_all(condvar: &Self::Condvar);
}

pub(crate) struct Std;

impl Monitor for Std {
    type Mutex<T: Send + 'static> = std::sync::Mutex<T>;
    type Guard<'a, T: Send + 'static> = std::sync::MutexGuard<'a, T>;
    type Condvar = std::sync::Condvar;

    fn mutex<T: Send + 'static>(data: T) -> Self::Mutex<T> {
        Self::Mutex::new(data)
    }

    #[inline(always)]
    fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> Self::Guard<'_, T> {
        mutex.lock().unwrap()
    }

    #[inline(always)]
    fn wait<'a, T: Send + 'static>(
        condvar: &Self::Condvar,
        guard: Self::Guard<'a, T>,
    ) -> Self::Guard<'a, T> {
        condvar.wait(guard).unwrap()
    }

    #[inline(always)]
    fn notify_one(condvar: &Self::Condvar) {
        condvar.notify_one();
    }

    #[inline(always)]
    fn notify_all(condvar: &Self::Condvar) {
        condvar.notify_all();
    }
}

macro_rules! with_borrowed_guards {
    ($($name:ident: $mutex:ident, $guard:ident, $condvar:ty;)*) => {$(
        pub(crate) struct $name;

        impl Monitor for $name {
            type Mutex<T: Send + 'static> = $mutex<T>;
            type Guard<'a, T: Send + 'static> = $guard<'a, T>;
            type Condvar = $condvar;

            fn mutex<T: Send + 'static>(data: T) -> Self::Mutex<T> {
                $mutex::new(data)
            }

            #[inline(always)]
            fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> Self::Guard<'_, T> {
                mutex.lock()
            }

            #[inline(always)]
            fn wait<'a, T: Send + 'static>(
                condvar: &Self::Condvar,
                mut guard: Self::Guard<'a, T>,
            ) -> Self::Guard<'a, T> {
                condvar.wait(&mut guard);
                guard
            }

            #[inline(always)]
            fn notify_one(condvar: &Self::Condvar) {
                condvar.notify_one();
            }

            #[inline(always)]
            fn notify_all(condvar: &Self::Condvar) {
                condvar.notify_all();
            }
        }
    )*};
}

use parking_lot_0_12::{Mutex as Mutex012, MutexGuard as Guard012};
use parking_lot_0_13::{Mutex as Mutex013, MutexGuard as Guard013};
use pysync_lock::guarded::{Mutex as OurMutex, MutexGuard as OurGuard};
use usync::{Mutex as UsyncMutex, MutexGuard as UsyncGuard};

with_borrowed_guards! {
    Pl012: Mutex012, Guard012, parking_lot_0_12::Condvar;
    Pl013: Mutex013, Guard013, parking_lot_0_13::Condvar;
    Usync: UsyncMutex, UsyncGuard, usync::Condvar;
    Pysync: OurMutex, OurGuard, pysync_cond::guarded::Condvar;
}

/// An event of event-listener as the condition of a mutex of parking_lot. Its listeners lie on the
/// stack.
pub(crate) struct EventListener;

impl Monitor for EventListener {
    type Mutex<T: Send + 'static> = Mutex013<T>;
    type Guard<'a, T: Send + 'static> = Guard013<'a, T>;
    type Condvar = event_listener::Event;

    fn mutex<T: Send + 'static>(data: T) -> Self::Mutex<T> {
        Mutex013::new(data)
    }

    #[inline(always)]
    fn lock<T: Send + 'static>(mutex: &Self::Mutex<T>) -> Self::Guard<'_, T> {
        mutex.lock()
    }

    #[inline(always)]
    fn wait<'a, T: Send + 'static>(
        condvar: &Self::Condvar,
        guard: Self::Guard<'a, T>,
    ) -> Self::Guard<'a, T> {
        listener!(condvar => listener);
        let mutex = Guard013::mutex(&guard);
        drop(guard);
        listener.wait();
        mutex.lock()
    }

    #[inline(always)]
    fn notify_one(condvar: &Self::Condvar) {
        // One more than have been notified already, as a condition variable counts.
        condvar.notify_additional(1);
    }

    #[inline(always)]
    fn notify_all(condvar: &Self::Condvar) {
        condvar.notify(usize::MAX);
    }
}

/// When a thread that has changed something notifies those who wait for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notify {
    UnderLock,
    AfterUnlock,
}

impl Notify {
    pub(crate) const BOTH: [Self; 2] = [Self::UnderLock, Self::AfterUnlock];

    /// Calls `notify` and unlocks, in the order that this says.
    #[inline(always)]
    pub(crate) fn unlock<G>(self, guard: G, notify: impl FnOnce()) {
        match self {
            Self::UnderLock => {
                notify();
                drop(guard);
            }
            Self::AfterUnlock => {
                drop(guard);
                notify();
            }
        }
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnderLock => "under lock",
            Self::AfterUnlock => "after unlock",
        })
    }
}

/// One [`Entrant`](crate::runner::Entrant) for each monitor: `measure::<M>` with what it captures.
macro_rules! monitors {
    ($measure:ident($($argument:expr),*)) => {
        vec![
            $crate::family::monitor::monitors!(one Std "std" $measure($($argument),*)),
            $crate::family::monitor::monitors!(one Pl012 "pl-0.12" $measure($($argument),*)),
            $crate::family::monitor::monitors!(one Pl013 "pl-0.13" $measure($($argument),*)),
            $crate::family::monitor::monitors!(one Usync "usync" $measure($($argument),*)),
            $crate::family::monitor::monitors!(one EventListener "event-l" $measure($($argument),*)),
            $crate::family::monitor::monitors!(one Pysync "pysync" $measure($($argument),*)),
        ]
    };
    (one $monitor:ident $name:literal $measure:ident($($argument:expr),*)) => {
        $crate::runner::Entrant::new($name, move |pass| {
            $measure::<$crate::family::monitor::$monitor>($($argument,)* pass)
        })
    };
}
pub(crate) use monitors;
