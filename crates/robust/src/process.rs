//! What a block says of the processes that use it: in which pid namespace and since which boot, and who
//! initialises it.

use crate::Error;
use crate::layout::{FNV, mix};

/// Where a process is. All processes that share a mutex are at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the pid namespace: thread ids mean something only within one.
    pub(crate) namespace: u64,
    /// A hash of the boot id. A file keeps a block over a reboot, and its owner is dead then.
    pub(crate) boot: u64,
}

/// The claim of an initialiser, by which others know whether it lives.
///
/// | bits | hold |
/// |---|---|
/// | 42 to 63 | the pid |
/// | 30 to 41 | a hash of the pid namespace |
/// | 18 to 29 | a hash of the time at which the process was started, since pids are used again |
/// | 0 to 17 | a hash of all these and of the boot id, by which garbage is no claim |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim(pub(crate) u64);

/// Who has a claim on a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)] // A model's are never elsewhere.
pub(crate) enum Claimant {
    /// No process, or one that has died.
    None,
    /// A process that lives. It may be this one.
    Alive,
    /// A process in another pid namespace. Whether it lives cannot be told.
    Elsewhere,
}

impl Claim {
    pub(crate) const NONE: Self = Self(0);

    fn of(pid: u32, started: u64, place: Place) -> Self {
        let namespace = mix(FNV, place.namespace) & 0xfff;
        let started = mix(FNV, started) & 0xfff;
        let named = u64::from(pid) << 42 | namespace << 30 | started << 18;
        Self(named | Self::check(named, place))
    }

    fn check(named: u64, place: Place) -> u64 {
        mix(mix(FNV, named), place.boot) & 0x3_ffff
    }

    pub(crate) fn pid(self) -> u32 {
        (self.0 >> 42) as u32
    }

    /// What only this place and this boot could have written.
    fn is_genuine(self, place: Place) -> bool {
        let check = self.0 & 0x3_ffff;
        self != Self::NONE && check == Self::check(self.0 & !0x3_ffff, place)
    }

    #[allow(dead_code)] // As above.
    fn is_of(self, place: Place) -> bool {
        self.0 >> 30 & 0xfff == mix(FNV, place.namespace) & 0xfff
    }
}

#[cfg(all(target_os = "linux", not(any(pysync_loom, pysync_shuttle))))]
mod imp {
    use std::fs::{self, File};
    use std::io::{self, Read, Write};
    use std::os::unix::fs::MetadataExt;

    use pysync_platform::primitive::plain::AtomicUsize;
    use pysync_platform::primitive::plain::Ordering::Relaxed;

    use super::*;

    const NO_PROC: Error =
        Error::Unsupported("/proc, which tells the pid namespace, is not mounted");

    /// Where this process is. Asks each time: a child of a fork may be in another namespace.
    pub(crate) fn place() -> Result<Place, Error> {
        if cfg!(miri) {
            return Ok(Place { namespace: 1, boot: 1 });
        }
        // 0 until a thread has read it; then it never changes.
        static BOOT: AtomicUsize = AtomicUsize::new(0);
        // Ordering: Relaxed; the number is all there is.
        let mut boot = BOOT.load(Relaxed);
        if boot == 0 {
            let mut id = [0; 64];
            let id = read("/proc/sys/kernel/random/boot_id", &mut id).map_err(|_| NO_PROC)?;
            boot =
                id.trim_ascii().iter().fold(FNV, |hash, byte| mix(hash, (*byte).into())) as usize;
            BOOT.store(boot, Relaxed);
        }
        let namespace = fs::metadata("/proc/self/ns/pid").map_err(|_| NO_PROC)?.ino();
        Ok(Place { namespace, boot: boot as u64 })
    }

    /// The claim of this process.
    pub(crate) fn claim(place: Place) -> Claim {
        let pid = std::process::id();
        Claim::of(pid, life(pid).map_or(0, |life| life.started), place)
    }

    /// Who has made a claim.
    pub(crate) fn claimant(claim: Claim, place: Place) -> Claimant {
        if !claim.is_genuine(place) {
            return Claimant::None;
        }
        if !claim.is_of(place) {
            return Claimant::Elsewhere;
        }
        let pid = claim.pid();
        match life(pid) {
            Some(life) if life.ended => Claimant::None,
            Some(life) if Claim::of(pid, life.started, place) == claim => Claimant::Alive,
            // Another process with the same pid, or none.
            _ => Claimant::None,
        }
    }

    /// Reads a short file of the kernel's, which has all of it ready, without an allocation.
    fn read<'a>(path: &str, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let length = File::open(path)?.read(buffer)?;
        Ok(&buffer[..length])
    }

    /// What the system knows of a process.
    struct Life {
        /// It has, or is about to.
        ended: bool,
        /// When it was started, in ticks since the boot.
        started: u64,
    }

    fn life(pid: u32) -> Option<Life> {
        if cfg!(miri) {
            return Some(Life { ended: false, started: 0 });
        }
        let mut path = [0; 32];
        let mut rest = &mut path[..];
        write!(rest, "/proc/{pid}/stat").ok()?;
        let left = rest.len();
        let path = std::str::from_utf8(&path[..32 - left]).ok()?;
        let mut stat = [0; 1024];
        let stat = read(path, &mut stat).ok()?;
        // The second field is the name in parentheses, which may have spaces, parentheses and bytes of
        // any encoding in it.
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        let fields = std::str::from_utf8(&stat[end + 1..]).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let first_has_ended = matches!(fields.next()?, "Z" | "X");
        // A process is called a zombie as soon as its first thread has ended. That one is counted
        // until the last one has.
        let threads: u32 = fields.nth(16)?.parse().ok()?;
        let ended = first_has_ended && threads <= 1;
        Some(Life { ended, started: fields.nth(1)?.parse().ok()? })
    }
}

#[cfg(any(pysync_loom, pysync_shuttle))]
mod imp {
    use pysync_platform::{Native, Runtime};

    use super::*;

    pub(crate) fn place() -> Result<Place, Error> {
        Ok(Place { namespace: 1, boot: crate::model::boot() })
    }

    /// In a model each thread is a process.
    pub(crate) fn claim(place: Place) -> Claim {
        Claim::of(Native::thread_ident() as u32, 0, place)
    }

    pub(crate) fn claimant(claim: Claim, place: Place) -> Claimant {
        if !claim.is_genuine(place) || crate::model::is_dead(claim.pid()) {
            return Claimant::None;
        }
        Claimant::Alive
    }
}

#[cfg(not(any(target_os = "linux", pysync_loom, pysync_shuttle)))]
mod imp {
    use super::*;

    pub(crate) fn place() -> Result<Place, Error> {
        crate::inner::supported()?;
        Ok(Place { namespace: 0, boot: 0 })
    }

    pub(crate) fn claim(place: Place) -> Claim {
        Claim::of(std::process::id(), 0, place)
    }

    pub(crate) fn claimant(claim: Claim, place: Place) -> Claimant {
        if claim.is_genuine(place) && claim.is_of(place) && claim.pid() == std::process::id() {
            return Claimant::Alive;
        }
        Claimant::None
    }
}

pub(crate) use imp::{claim, claimant, place};
