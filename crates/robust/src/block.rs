//! The 128 bytes, and how a mutex comes into them and goes.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use pysync_platform::primitive;
use pysync_platform::primitive::atomic::fence;

use crate::inner::{self, Inner, TryLock};
use crate::layout::{FNV, LAYOUT, Phase, Word, mix};
use crate::process::{self, Claim, Claimant, Place};
use crate::word::{Word32, Word64};
use crate::{Error, Kind, Timeout};

/// A robust mutex, as it lies in memory.
///
/// | at | field | is stored by |
/// |---|---|---|
/// | 0 | `state` | an initialiser; from then on the owner |
/// | 8 | `layout` | an initialiser, before it stores the state |
/// | 12 | `depth` | the owner |
/// | 16 | `namespace` | an initialiser |
/// | 24 | `boot` | an initialiser |
/// | 32 | `data` | an initialiser |
/// | 40 | `inner` | the C library, the kernel, and waiters |
/// | 88 | `claim` | initialisers |
/// | 96 | `check` | an initialiser |
///
/// The inner mutex is initialised once in the life of a block. To destroy and to initialise again means
/// to store another state, by a thread that has locked the inner mutex. So no thread can lose what it
/// holds, and a waiter of before waits on.
#[repr(C, align(8))]
#[cfg_attr(any(pysync_loom, pysync_shuttle), derive(Default))]
pub(crate) struct Block {
    /// What there is: see [`Word`].
    pub(crate) state: Word64,
    /// The layout of the program that has initialised the block.
    pub(crate) layout: Word32,
    /// How often the owner has acquired the mutex beyond the first time.
    pub(crate) depth: Word32,
    /// The pid namespace of all that use it.
    pub(crate) namespace: Word64,
    /// The boot since which it is in use.
    pub(crate) boot: Word64,
    /// What data is behind it; 0 if no initialiser has said.
    pub(crate) data: Word64,
    pub(crate) inner: Inner,
    /// Who is initialising it, or has been until it died.
    pub(crate) claim: Word64,
    /// A hash of layout, namespace and boot.
    pub(crate) check: Word64,
    #[cfg(not(any(pysync_loom, pysync_shuttle)))]
    _rest: [u8; 24],
}

#[cfg(all(
    target_pointer_width = "64",
    target_os = "linux",
    not(any(miri, pysync_loom, pysync_shuttle))
))]
const _: () = {
    use crate::layout::{ALIGN, SIZE};
    use std::mem::offset_of;

    assert!(size_of::<Block>() == SIZE && align_of::<Block>() == ALIGN);
    assert!(offset_of!(Block, inner) == 40 && offset_of!(Block, claim) == 88);
};

/// What a reader of the header has found.
struct Header {
    word: Word,
    found: Found,
}

/// What there is at the bytes, as far as the caller is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// No mutex: an initialiser may make one.
    Nothing,
    /// A mutex of ours.
    Mutex(Phase),
    /// A mutex that is none of ours.
    Refused(Error),
}

impl Block {
    /// Reads the header. What it says was true at one moment.
    fn read(&self, place: Place) -> Header {
        let mut is_second_look = false;
        loop {
            // Ordering: Acquire, with the store of the initialiser that has made the block ready: all
            // that is read below was stored before.
            let word = Word(self.state.load(Acquire));
            // Ordering: Relaxed; the fence orders them before the second load of the state.
            let namespace = self.namespace.load(Relaxed);
            let boot = self.boot.load(Relaxed);
            let layout = self.layout.load(Relaxed);
            let check = self.check.load(Relaxed);
            // Ordering: the Acquire fence with the Release fence in `make`: a reader that
            // has seen one of its words sees that the state is empty since then.
            fence(Acquire);
            // Ordering: Acquire, as the first: a mutex that was made anew meanwhile may have the same
            // state as the one before.
            if self.state.load(Acquire) != word.0 {
                continue;
            }
            let sound = check == checked(layout, namespace, boot);
            // One from before a reboot may have been made anew in the meantime, and the state be the
            // same again. Some of the words are from before then, and all are new at the second look.
            if !sound && word.phase() != Phase::Empty && !is_second_look {
                is_second_look = true;
                continue;
            }
            let found = match word.phase() {
                Phase::Empty if word != Word::EMPTY && sound && boot == place.boot => {
                    Found::Refused(Error::Damaged)
                }
                Phase::Empty => Found::Nothing,
                Phase::Foreign if layout != LAYOUT => {
                    Found::Refused(Error::Layout { found: layout, want: LAYOUT })
                }
                Phase::Foreign => Found::Refused(Error::Damaged),
                _ if !sound || layout != LAYOUT => Found::Refused(Error::Damaged),
                // From before a reboot, in a file: who held it is dead.
                _ if boot != place.boot => Found::Nothing,
                _ if namespace != place.namespace => Found::Refused(Error::Namespace),
                phase => Found::Mutex(phase),
            };
            return Header { word, found };
        }
    }

    /// Whether there is a mutex that can be acquired by this process.
    pub(crate) fn attach(&self) -> Result<(), Error> {
        let place = process::place()?;
        match self.read(place).found {
            Found::Mutex(Phase::Ready) => Ok(()),
            Found::Mutex(phase) => Err(phase.error()),
            Found::Refused(error) => Err(error),
            Found::Nothing => Err(self.nothing(place)),
        }
    }

    /// Which error it is that there is no mutex.
    fn nothing(&self, place: Place) -> Error {
        // Ordering: Relaxed; the answer may be outdated either way.
        match process::claimant(Claim(self.claim.load(Relaxed)), place) {
            Claimant::None => Error::Uninitialized,
            Claimant::Alive => Error::Initializing,
            Claimant::Elsewhere => Error::Namespace,
        }
    }

    /// Makes a mutex of the bytes, or of a mutex that is lost or destroyed. Calls `prepare` when no
    /// other thread can acquire it yet.
    pub(crate) fn initialize(
        &self,
        kind: Kind,
        data: u64,
        prepare: impl FnOnce(),
    ) -> Result<(), Error> {
        self.initialize_from(true, kind, data, prepare)
    }

    /// [`initialize`](Self::initialize), of a mutex that is lost only if `even_lost` says so.
    fn initialize_from(
        &self,
        even_lost: bool,
        kind: Kind,
        data: u64,
        prepare: impl FnOnce(),
    ) -> Result<(), Error> {
        inner::supported_here()?;
        let place = process::place()?;
        loop {
            match self.read(place).found {
                Found::Refused(error) => return Err(error),
                Found::Mutex(Phase::Ready) => return Err(Error::AlreadyInitialized),
                Found::Mutex(_) => return self.revive(even_lost, kind, data, prepare),
                Found::Nothing => {}
            }
            // Ordering: Acquire, with the Release of an initialiser that has dropped its claim: the
            // state that it has stored is seen below.
            let seen = self.claim.load(Acquire);
            match process::claimant(Claim(seen), place) {
                Claimant::Alive => return Err(Error::Initializing),
                Claimant::Elsewhere => return Err(Error::Namespace),
                Claimant::None => {}
            }
            let mine = process::claim(place);
            // Ordering: Acquire as above; what a dead initialiser stored is overwritten.
            if self.claim.compare_exchange(seen, mine.0, Acquire, Relaxed).is_err() {
                continue;
            }
            // Another initialiser may have come and gone before the exchange.
            if self.read(place).found == Found::Nothing {
                return self.make(kind, data, place, prepare);
            }
            // Ordering: Release, though the claim has protected nothing: the next claimant has to see the
            // state that this one has seen.
            self.claim.store(Claim::NONE.0, Release);
        }
    }

    /// Makes the mutex, by the thread whose claim stands.
    fn make(
        &self,
        kind: Kind,
        data: u64,
        place: Place,
        prepare: impl FnOnce(),
    ) -> Result<(), Error> {
        self.state.store(Word::EMPTY.0, Relaxed);
        // Ordering: the Release fence with the Acquire fence of `read`.
        fence(Release);
        self.layout.store(LAYOUT, Relaxed);
        self.depth.store(0, Relaxed);
        self.namespace.store(place.namespace, Relaxed);
        self.boot.store(place.boot, Relaxed);
        self.check.store(checked(LAYOUT, place.namespace, place.boot), Relaxed);
        self.data.store(data, Relaxed);
        // SAFETY: the state is empty, so no thread uses these bytes but the one with the claim.
        let made = unsafe { self.inner.initialize() };
        if made.is_ok() {
            prepare();
            // Ordering: Release, with the loads of the state in `read` and `attempt`.
            self.state.store(Word::ready(kind).0, Release);
        }
        // Ordering: Release, with the load of the claim in `initialize`.
        self.claim.store(Claim::NONE.0, Release);
        made
    }

    /// Makes a mutex that is lost or destroyed ready again.
    fn revive(
        &self,
        even_lost: bool,
        kind: Kind,
        data: u64,
        prepare: impl FnOnce(),
    ) -> Result<(), Error> {
        self.lock_inner()?;
        // Ordering: Relaxed, as all of the owner's; the lock orders them.
        let phase = Word(self.state.load(Relaxed)).phase();
        let revived = match phase {
            Phase::Lost if !even_lost => Err(Error::NotRecoverable),
            Phase::Lost | Phase::Retired => {
                self.depth.store(0, Relaxed);
                self.data.store(data, Relaxed);
                prepare();
                // Ordering: Release, with the load in `read`. Threads that lock the inner mutex are
                // ordered by that.
                self.state.store(Word::ready(kind).0, Release);
                Ok(())
            }
            Phase::Ready => Err(Error::AlreadyInitialized),
            Phase::Empty | Phase::Foreign => Err(Error::Damaged),
        };
        self.inner.unlock();
        revived
    }

    /// [`initialize`](Self::initialize), or [`attach`](Self::attach) if that has been done; true if
    /// this call has done it. Waits for another initialiser.
    pub(crate) fn open(
        &self,
        kind: Kind,
        data: u64,
        timeout: Timeout,
        prepare: impl FnOnce(),
    ) -> Result<bool, Error> {
        let deadline = timeout.deadline();
        let mut prepare = Some(prepare);
        for round in 0_u32.. {
            if round > 0 {
                let_others_go_on(round);
            }
            // What is lost stays so until it is initialised in so many words.
            match self.attach() {
                Err(Error::Uninitialized | Error::Destroyed) => {}
                Err(Error::Initializing) => {
                    if deadline.has_passed() {
                        let timed = matches!(timeout, Timeout::After(_));
                        return Err(if timed { Error::TimedOut } else { Error::Initializing });
                    }
                    continue;
                }
                attached => return attached.map(|()| false),
            }
            let made = self.initialize_from(false, kind, data, || {
                if let Some(prepare) = prepare.take() {
                    prepare();
                }
            });
            match made {
                Err(Error::AlreadyInitialized | Error::Initializing) => {}
                // Another thread is about to revive it, or has just been seen to retire it.
                Err(Error::Busy) if !deadline.has_passed() => {}
                made => return made.map(|()| true),
            }
        }
        unreachable!("the rounds have no end")
    }

    /// Ends the mutex. Threads that wait for it get [`Error::Destroyed`].
    pub(crate) fn destroy(&self) -> Result<(), Error> {
        // Ordering: Acquire, with the Release of the initialiser: the inner mutex is made.
        let word = Word(self.state.load(Acquire));
        if !matches!(word.phase(), Phase::Ready | Phase::Lost) {
            return Err(word.phase().error());
        }
        self.lock_inner()?;
        let word = Word(self.state.load(Relaxed));
        let destroyed = match word.phase() {
            Phase::Ready | Phase::Lost => {
                // Ordering: Release, with the load in `read`.
                self.state.store(word.retired().0, Release);
                Ok(())
            }
            phase => Err(phase.error()),
        };
        self.inner.unlock();
        self.inner.wake(u32::MAX);
        destroyed
    }

    /// Locks the inner mutex, whatever the state is; [`Error::Busy`] if any thread holds it, the
    /// caller too. The death of an owner is noted in the state.
    fn lock_inner(&self) -> Result<(), Error> {
        match self.inner.try_lock() {
            TryLock::Locked => Ok(()),
            TryLock::OwnerDied => {
                self.note_death();
                Ok(())
            }
            TryLock::Mine | TryLock::Others => Err(Error::Busy),
            TryLock::TooMany => Err(Error::TooManyHeld),
            TryLock::Refused(errno) => Err(Error::Os(errno)),
        }
    }

    /// The caller has the inner mutex from an owner that has died. From here on the state tells that
    /// the data is inconsistent, and the inner mutex is as any other.
    pub(crate) fn note_death(&self) {
        let word = Word(self.state.load(Relaxed));
        if word.phase() == Phase::Ready {
            self.state.store(word.inconsistent().0, Relaxed);
        }
        self.depth.store(0, Relaxed);
        // If the caller dies before this or after it, the kernel marks the mutex once more.
        self.inner.make_consistent();
    }

    /// What there is, for a look from outside.
    pub(crate) fn look(&self) -> Result<crate::State, Error> {
        use crate::State;

        let place = process::place()?;
        let header = self.read(place);
        Ok(match header.found {
            Found::Nothing => match self.nothing(place) {
                Error::Uninitialized => State::Uninitialized,
                Error::Initializing => State::Initializing,
                error => return Err(error),
            },
            Found::Refused(error) => return Err(error),
            Found::Mutex(Phase::Lost) => State::NotRecoverable,
            Found::Mutex(Phase::Retired) => State::Destroyed,
            Found::Mutex(_) => {
                // Ordering: Relaxed; it may have changed by the time that the caller looks at it.
                let word = self.inner.word().load(Relaxed);
                let owner = word & inner::OWNER;
                if word & inner::OWNER_DIED != 0 || header.word.is_inconsistent() && owner == 0 {
                    State::OwnerDied
                } else if owner == 0 {
                    State::Free
                } else {
                    State::Held { owner, inconsistent: header.word.is_inconsistent() }
                }
            }
        })
    }
}

/// Waits for a moment for an initialiser, which takes microseconds unless it was stopped.
fn let_others_go_on(round: u32) {
    if cfg!(any(pysync_loom, pysync_shuttle)) || round < 100 {
        primitive::yield_now();
    } else {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What `check` is with these.
pub(crate) fn checked(layout: u32, namespace: u64, boot: u64) -> u64 {
    mix(mix(mix(FNV, layout.into()), namespace), boot)
}

impl Phase {
    /// What a caller is told that wants a mutex that is ready.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::Empty => Error::Uninitialized,
            Self::Lost => Error::NotRecoverable,
            Self::Retired => Error::Destroyed,
            Self::Ready | Self::Foreign => Error::Damaged,
        }
    }
}
