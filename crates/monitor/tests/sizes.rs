//! Sizes, statics, and what may be sent to another thread.
#![cfg(not(any(pysync_loom, pysync_shuttle)))]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::MutexGuard;
use std::thread;

use pysync_monitor::{
    Branch, Cancelled, Child, Deadlock, EnterError, Failures, Inside, Link, Monitor, MonitorId,
    Stopped,
};
use pysync_testing::watchdog;

const WORD: usize = size_of::<usize>();

#[test]
fn a_monitor_is_a_word_and_what_reports_call_it() {
    assert_eq!(size_of::<Monitor<()>>(), 4 * WORD);
    assert_eq!(size_of::<Monitor<usize>>(), 5 * WORD);
    assert_eq!(align_of::<Monitor<u8>>(), WORD);
    assert_eq!(size_of::<Inside<'_, [u8; 100]>>(), 3 * WORD);
    assert_eq!(size_of::<Cancelled>(), 0);
    // A result of an entry should not cost more than a few words.
    assert_eq!(size_of::<Deadlock>(), WORD);
    assert!(size_of::<Result<(), Stopped>>() <= 4 * WORD);
}

/// Fails to compile if the type has the trait.
macro_rules! is_not {
    ($trait:ident: $($type:ty),+) => {
        $({
            struct Has;
            trait Ambiguous<A> {
                fn here() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<Has> for T {}
            <$type as Ambiguous<_>>::here();
        })+
    };
}

#[test]
fn what_may_go_to_another_thread() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    // One thread at a time has the value: it need not be `Sync`.
    send::<Monitor<Cell<u8>>>();
    sync::<Monitor<Cell<u8>>>();
    sync::<Monitor<RefCell<String>>>();
    is_not!(Send: Monitor<Rc<u8>>, Monitor<*const u8>, Monitor<MutexGuard<'static, ()>>);
    is_not!(Sync: Monitor<Rc<u8>>, Monitor<*const u8>, Monitor<MutexGuard<'static, ()>>);
    // It belongs to the frame of a thread, and to its node.
    is_not!(Send: Inside<'static, u8>, &'static Inside<'static, u8>);
    is_not!(Sync: Inside<'static, u8>);
    send::<Deadlock>();
    sync::<Deadlock>();
    send::<EnterError>();
    sync::<EnterError>();
    send::<Stopped>();
    sync::<Stopped>();
    send::<(Link, MonitorId)>();
    send::<Branch<'static, 'static, Cell<u8>>>();
    sync::<Branch<'static, 'static, Cell<u8>>>();
    is_not!(Send: Branch<'static, 'static, Rc<u8>>);
    is_not!(Sync: Branch<'static, 'static, Rc<u8>>);
    send::<Child<'static, u8>>();
    send::<Failures<u8>>();
    is_not!(Send: Failures<Rc<u8>>);
}

#[test]
fn errors_are_errors() {
    fn promised<T: std::error::Error + 'static>() {}
    promised::<Deadlock>();
    promised::<Cancelled>();
}

static MONITOR: Monitor<u32> = Monitor::new(0);
static NAMED: Monitor<Vec<u32>> = Monitor::named("a static", Vec::new());

#[test]
fn statics_work() {
    let _watchdog = watchdog();
    let waiter =
        thread::spawn(|| NAMED.enter_when(|list| !list.is_empty(), |mut list| list.pop()).unwrap());
    MONITOR.enter(|mut value| *value += 1).unwrap();
    NAMED.enter(|mut list| list.push(7)).unwrap();
    assert_eq!(waiter.join().unwrap(), Some(7));
    assert_eq!(MONITOR.enter(|value| *value).unwrap(), 1);
    assert!(format!("{NAMED:?}").contains("a static"));
}

/// A value of no size, at the address of which nothing else may park.
#[test]
fn values_of_no_size() {
    let _watchdog = watchdog();
    let monitor = Monitor::new(());
    let is_set = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let is_set = || is_set.load(std::sync::atomic::Ordering::SeqCst);
            monitor.enter_when(|()| is_set(), |inside| *inside).unwrap();
        });
        is_set.store(true, std::sync::atomic::Ordering::SeqCst);
        while !waiter.is_finished() {
            monitor.enter(|_| ()).unwrap();
            thread::yield_now();
        }
    });
}
