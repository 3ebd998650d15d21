//! What is to be expected of each call in each state. Nothing else in these tests knows.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;

use pysync_robust::{Error, Kind, Ownership, State, Timeout};

use crate::common::{Bytes, LAYOUT};

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Zeroes,
    Garbage,
    Ready,
    Lost,
    Retired,
}

/// By whom they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// By a process like this.
    Ours,
    /// Before the machine was started again.
    OtherBoot,
    /// In another pid namespace.
    Elsewhere,
    /// By a process like this; then something has written to the header.
    Damaged,
    /// With another C library.
    OtherLayout,
}

/// Who says that it is initialising the mutex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    None,
    Alive,
    /// It was killed, and its parent has not looked after it.
    Dead,
    /// It is in another pid namespace.
    Elsewhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    None,
    /// By its id.
    Thread(u32),
    /// It has died, and no thread has acquired the mutex since.
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Attach,
    Initialize(Kind),
    Open(Kind, Timeout),
    Acquire(Timeout),
    Release,
    MakeConsistent,
    GiveUp,
    Destroy,
    State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Initialized(bool),
    Acquired(Ownership),
    Is(State),
}

/// What the mutex is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) phase: Phase,
    pub(crate) header: Header,
    pub(crate) claim: Claim,
    pub(crate) kind: Kind,
    pub(crate) holder: Holder,
    /// How often the holder has acquired it.
    pub(crate) levels: u32,
    /// The holder has not yet said that what a dead owner has left is consistent.
    pub(crate) inconsistent: bool,
}

impl Model {
    pub(crate) const ZEROES: Self = Self {
        phase: Phase::Zeroes,
        header: Header::Ours,
        claim: Claim::None,
        kind: Kind::Plain,
        holder: Holder::None,
        levels: 0,
        inconsistent: false,
    };

    /// What a call by the thread `me` comes to; `None` if it would wait for ever. Afterwards `self` is
    /// what the mutex is then.
    pub(crate) fn call(&mut self, call: Call, me: u32) -> Option<Result<Answer, Error>> {
        Some(match call {
            Call::Attach => self.header().map(|()| Answer::Done),
            Call::State => self.look().map(Answer::Is),
            Call::Initialize(kind) => self.initialize(kind).map(|()| Answer::Done),
            Call::Open(kind, timeout) => match (self.header(), timeout) {
                (Ok(()), _) => Ok(Answer::Initialized(false)),
                (Err(Error::Uninitialized | Error::Destroyed), _) => {
                    self.initialize(kind).map(|()| Answer::Initialized(true))
                }
                (Err(Error::Initializing), Timeout::Never) => return None,
                (Err(Error::Initializing), Timeout::After(_)) => Err(Error::TimedOut),
                (Err(error), _) => Err(error),
            },
            Call::Acquire(timeout) => match (self.acquire(me), timeout) {
                (Err(Error::Busy), Timeout::Never) => return None,
                (Err(Error::Busy), Timeout::After(_)) => Err(Error::TimedOut),
                (acquired, _) => acquired.map(Answer::Acquired),
            },
            Call::Release if self.inconsistent => self.give_up(me).map(|()| Answer::Done),
            Call::Release => self.owned(me).map(|()| self.release()),
            Call::GiveUp => self.give_up(me).map(|()| Answer::Done),
            Call::MakeConsistent => self.make_consistent(me).map(|()| Answer::Done),
            Call::Destroy => self.destroy().map(|()| Answer::Done),
        })
    }

    /// What a call finds that reads the whole header: whether this process may acquire the mutex.
    pub(crate) fn header(&self) -> Result<(), Error> {
        match (self.phase, self.header) {
            (Phase::Zeroes | Phase::Garbage, _) | (_, Header::OtherBoot) => Err(match self.claim {
                Claim::None | Claim::Dead => Error::Uninitialized,
                Claim::Alive => Error::Initializing,
                Claim::Elsewhere => Error::Namespace,
            }),
            (_, Header::Elsewhere) => Err(Error::Namespace),
            (_, Header::Damaged) => Err(Error::Damaged),
            (_, Header::OtherLayout) => {
                Err(Error::Layout { found: our_layout() ^ OTHER_LAYOUT, want: our_layout() })
            }
            (Phase::Ready, Header::Ours) => Ok(()),
            (Phase::Lost, Header::Ours) => Err(Error::NotRecoverable),
            (Phase::Retired, Header::Ours) => Err(Error::Destroyed),
        }
    }

    /// What a call finds that looks at the state word only: the one of a process that has attached.
    pub(crate) fn word(&self) -> Result<(), Error> {
        match (self.phase, self.header) {
            (Phase::Zeroes | Phase::Garbage, _) => Err(Error::Uninitialized),
            (_, Header::OtherLayout) => Err(Error::Damaged),
            (Phase::Ready, _) => Ok(()),
            (Phase::Lost, _) => Err(Error::NotRecoverable),
            (Phase::Retired, _) => Err(Error::Destroyed),
        }
    }

    pub(crate) fn look(&self) -> Result<State, Error> {
        match (self.header(), self.holder) {
            (Ok(()), Holder::None) => Ok(State::Free),
            (Ok(()), Holder::Dead) => Ok(State::OwnerDied),
            (Ok(()), Holder::Thread(owner)) => {
                Ok(State::Held { owner, inconsistent: self.inconsistent })
            }
            (Err(Error::Uninitialized), _) => Ok(State::Uninitialized),
            (Err(Error::Initializing), _) => Ok(State::Initializing),
            (Err(Error::NotRecoverable), _) => Ok(State::NotRecoverable),
            (Err(Error::Destroyed), _) => Ok(State::Destroyed),
            (Err(error), _) => Err(error),
        }
    }

    pub(crate) fn initialize(&mut self, kind: Kind) -> Result<(), Error> {
        match self.header() {
            Ok(()) => return Err(Error::AlreadyInitialized),
            Err(Error::Uninitialized) => self.claim = Claim::None,
            // What is lost or destroyed is revived by the thread that locks it, whatever a claim says.
            Err(Error::NotRecoverable | Error::Destroyed) => self.is_not_held()?,
            Err(error) => return Err(error),
        }
        *self = Self { phase: Phase::Ready, kind, claim: self.claim, ..Self::ZEROES };
        Ok(())
    }

    pub(crate) fn is_not_held(&self) -> Result<(), Error> {
        if matches!(self.holder, Holder::Thread(_)) { Err(Error::Busy) } else { Ok(()) }
    }

    pub(crate) fn acquire(&mut self, me: u32) -> Result<Ownership, Error> {
        self.word()?;
        match self.holder {
            Holder::None | Holder::Dead => {
                self.inconsistent |= self.holder == Holder::Dead;
                self.holder = Holder::Thread(me);
            }
            Holder::Thread(owner) if owner != me => return Err(Error::Busy),
            Holder::Thread(_) if self.kind == Kind::Plain => return Err(Error::Deadlock),
            Holder::Thread(_) => {}
        }
        self.levels += 1;
        Ok(if self.inconsistent { Ownership::OwnerDied } else { Ownership::Clean })
    }

    /// Whether `me` holds it, given up or not.
    pub(crate) fn owned(&self, me: u32) -> Result<(), Error> {
        match self.word() {
            Ok(()) | Err(Error::NotRecoverable) if self.holder == Holder::Thread(me) => Ok(()),
            Ok(()) | Err(Error::NotRecoverable) => Err(Error::NotOwner),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn release(&mut self) -> Answer {
        self.levels -= 1;
        if self.levels == 0 {
            self.holder = Holder::None;
        }
        Answer::Done
    }

    pub(crate) fn give_up(&mut self, me: u32) -> Result<(), Error> {
        self.owned(me)?;
        self.phase = Phase::Lost;
        self.inconsistent = false;
        self.release();
        Ok(())
    }

    pub(crate) fn make_consistent(&mut self, me: u32) -> Result<(), Error> {
        self.owned(me)?;
        self.word()?;
        self.inconsistent = false;
        Ok(())
    }

    pub(crate) fn destroy(&mut self) -> Result<(), Error> {
        match self.word() {
            Ok(()) | Err(Error::NotRecoverable) => self.is_not_held()?,
            Err(error) => return Err(error),
        }
        self.phase = Phase::Retired;
        (self.holder, self.inconsistent) = (Holder::None, false);
        Ok(())
    }

    /// The thread dies.
    pub(crate) fn dies(&mut self, thread: u32) {
        if self.holder == Holder::Thread(thread) {
            (self.holder, self.levels) = (Holder::Dead, 0);
        }
    }
}

/// By what another layout differs from ours.
pub(crate) const OTHER_LAYOUT: u32 = 0x0102_0304;

/// The layout of this build, as it is in a block.
pub(crate) fn our_layout() -> u32 {
    static LAYOUTS: OnceLock<u32> = OnceLock::new();
    *LAYOUTS.get_or_init(|| {
        let bytes = Bytes::zeroed();
        bytes.mutex().initialize(Kind::Plain).unwrap();
        bytes.u32(LAYOUT).load(SeqCst)
    })
}
