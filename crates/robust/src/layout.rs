//! What the words of a block mean.

use crate::Kind;
use crate::inner::{INNER_BYTES, LIBRARY};

/// How many bytes a mutex takes. The same on every system.
pub const SIZE: usize = 128;

/// What the address of a mutex must be a multiple of.
pub const ALIGN: usize = 8;

/// The version of all that this file says, and of the block.
const VERSION: u64 = 1;

/// "PyS". No other bytes are a mutex: zeroes and garbage are not.
pub(crate) const TAG: u64 = 0x50_79_53;

/// The layout of this program: a hash of what two processes have to agree on.
pub(crate) const LAYOUT: u32 = {
    let width = size_of::<usize>();
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    let [library, size, align, word] = LIBRARY;
    let version = VERSION as usize;
    let facts = [version, library, size, align, word, width, order, SIZE, ALIGN, INNER_BYTES];
    let mut hash = FNV;
    let mut i = 0;
    while i < facts.len() {
        hash = mix(hash, facts[i] as u64);
        i += 1;
    }
    (hash ^ hash >> 32) as u32
};

/// What a hash begins with: FNV-1a's offset basis.
pub(crate) const FNV: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, by words instead of bytes, and with the upper half folded in.
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    hash ^ hash >> 29
}

/// The state word of a block.
///
/// | bits | hold |
/// |---|---|
/// | 40 to 63 | the tag |
/// | 32 to 39 | the version |
/// | 28 to 31 | the phase: ready, lost or retired |
/// | 24 to 27 | the flags: recursive, inconsistent |
/// | 0 to 23 | the lower bits of the layout |
///
/// So one comparison of the word tells that all is as it should be. Once a block is ready, only the
/// owner of the inner mutex stores to the word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

/// What the state word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing: there is no mutex.
    Empty,
    /// The mutex can be acquired.
    Ready,
    /// An owner has died, and the one after it has given up the data.
    Lost,
    /// The mutex was destroyed.
    Retired,
    /// There is a mutex of another version, or for another C library.
    Foreign,
}

impl Word {
    const HEAD: u64 = TAG << 40 | VERSION << 32;
    const LAYOUT: u64 = LAYOUT as u64 & 0xff_ffff;
    const READY: u64 = 1 << 28;
    const LOST: u64 = 2 << 28;
    const RETIRED: u64 = 3 << 28;
    const PHASE: u64 = 0xf << 28;
    /// The mutex may be acquired again by its owner.
    const RECURSIVE: u64 = 1 << 24;
    /// An owner has died, and no later one has repaired the data.
    const INCONSISTENT: u64 = 2 << 24;
    const FLAGS: u64 = Self::RECURSIVE | Self::INCONSISTENT;

    /// There is no mutex.
    pub(crate) const EMPTY: Self = Self(0);

    /// A mutex that can be acquired.
    pub(crate) const fn ready(kind: Kind) -> Self {
        let flags = match kind {
            Kind::Plain => 0,
            Kind::Recursive => Self::RECURSIVE,
        };
        Self(Self::HEAD | Self::READY | flags | Self::LAYOUT)
    }

    /// Whether the mutex can be acquired, and its data is consistent.
    #[inline(always)]
    pub(crate) const fn is_clean(self) -> bool {
        self.0 & !Self::RECURSIVE == Self::ready(Kind::Plain).0
    }

    pub(crate) const fn phase(self) -> Phase {
        if self.0 >> 40 != TAG {
            return Phase::Empty;
        }
        if self.0 & !(Self::PHASE | Self::FLAGS) != Self::HEAD | Self::LAYOUT {
            return Phase::Foreign;
        }
        match self.0 & Self::PHASE {
            Self::READY => Phase::Ready,
            Self::LOST => Phase::Lost,
            Self::RETIRED => Phase::Retired,
            _ => Phase::Foreign,
        }
    }

    pub(crate) const fn kind(self) -> Kind {
        if self.0 & Self::RECURSIVE == 0 { Kind::Plain } else { Kind::Recursive }
    }

    pub(crate) const fn is_inconsistent(self) -> bool {
        self.0 & Self::INCONSISTENT != 0
    }

    pub(crate) const fn inconsistent(self) -> Self {
        Self(self.0 | Self::INCONSISTENT)
    }

    pub(crate) const fn consistent(self) -> Self {
        Self(self.0 & !Self::INCONSISTENT)
    }

    pub(crate) const fn lost(self) -> Self {
        Self(self.0 & !(Self::PHASE | Self::INCONSISTENT) | Self::LOST)
    }

    pub(crate) const fn retired(self) -> Self {
        Self(self.0 & !(Self::PHASE | Self::INCONSISTENT) | Self::RETIRED)
    }
}
