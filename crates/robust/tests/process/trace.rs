//! A child that goes on by one instruction, or to its next system call, when the test says so.

use std::thread;

use pysync_testing::wait_until;

use crate::common::{Child, Status, child, state_of};

/// A traced child. Only the thread that has made it may use it.
pub(crate) struct Traced {
    child: Child,
}

/// Where a traced child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Stopped,
    Ended(Status),
}

/// An instruction that stops a traced child.
#[inline(always)]
fn mark() {
    // SAFETY: traps; the tracer goes on with the next instruction.
    unsafe { std::arch::asm!("int3") };
}

impl Traced {
    /// A child that is stopped between `before` and `body`.
    pub(crate) fn new(before: impl FnOnce(), body: impl FnOnce()) -> Self {
        let child = child(|| {
            before();
            // SAFETY: makes the parent the tracer.
            unsafe { libc::ptrace(libc::PTRACE_TRACEME as _, 0, 0, 0) };
            mark();
            body();
        });
        let mut traced = Self { child };
        assert_eq!(traced.child.wait(), Status::Stopped(libc::SIGTRAP));
        traced.ask(libc::PTRACE_SETOPTIONS as _, libc::PTRACE_O_EXITKILL as _);
        traced
    }

    pub(crate) fn pid(&self) -> libc::pid_t {
        self.child.pid
    }

    fn ask(&self, request: libc::c_int, data: usize) {
        // SAFETY: our own child, which is traced and stopped; no request here writes to our memory
        // but the one of `registers`, which gives the address of a local.
        let result = unsafe { libc::ptrace(request as _, self.child.pid, 0_usize, data) };
        assert_eq!(result, 0, "ptrace: {}", std::io::Error::last_os_error());
    }

    /// Goes on, up to what `request` says.
    fn go(&mut self, request: libc::c_int) -> At {
        self.ask(request, 0);
        self.arrive()
    }

    /// Waits until it has stopped or ended.
    pub(crate) fn arrive(&mut self) -> At {
        match self.child.wait() {
            Status::Stopped(signal) => {
                assert_eq!(signal, libc::SIGTRAP, "a traced child is stopped by a signal");
                At::Stopped
            }
            ended => At::Ended(ended),
        }
    }

    /// Executes one instruction; a system call is one.
    pub(crate) fn step(&mut self) -> At {
        self.go(libc::PTRACE_SINGLESTEP as _)
    }

    /// The same. Calls `idle` while it waits for that.
    pub(crate) fn step_idly(&mut self, idle: impl FnMut(&Self)) -> At {
        self.ask(libc::PTRACE_SINGLESTEP as _, 0);
        self.arrive_idly(idle)
    }

    fn arrive_idly(&mut self, mut idle: impl FnMut(&Self)) -> At {
        loop {
            match self.child.poll() {
                None => {
                    idle(self);
                    thread::yield_now();
                }
                Some(Status::Stopped(libc::SIGTRAP)) => return At::Stopped,
                Some(Status::Stopped(signal)) => panic!("stopped by signal {signal}"),
                Some(ended) => return At::Ended(ended),
            }
        }
    }

    /// Goes on to the next border of the kernel: the entry of a system call, or its exit.
    pub(crate) fn go_to_border(&mut self) -> At {
        self.go(libc::PTRACE_SYSCALL as _)
    }

    /// The same for a system call that sleeps: returns once it sleeps.
    pub(crate) fn go_to_border_asleep(&mut self) {
        self.ask(libc::PTRACE_SYSCALL as _, 0);
        wait_until(|| state_of(self.pid()) == Some('S'));
    }

    /// Goes on until the instruction at `place` has come up for the `nth` time, now included. Calls
    /// `idle` while it waits for that.
    pub(crate) fn go_to(&mut self, place: usize, nth: usize, mut idle: impl FnMut(&Self)) -> At {
        let code = self.peek(place);
        for time in 1..=nth {
            self.poke(place, code & !0xff | 0xcc);
            self.ask(libc::PTRACE_CONT as _, 0);
            if let At::Ended(status) = self.arrive_idly(&mut idle) {
                return At::Ended(status);
            }
            let mut registers = self.registers();
            registers.rip -= 1;
            assert_eq!(registers.rip as usize, place, "another breakpoint");
            self.set_registers(&registers);
            self.poke(place, code);
            if time < nth {
                let stepped = self.step();
                assert_eq!(stepped, At::Stopped, "ends at a breakpoint");
            }
        }
        At::Stopped
    }

    /// The word of its code at `place`. A fork has its code where its parent has the same.
    fn peek(&self, place: usize) -> i64 {
        // SAFETY: code that is executed; at its last bytes the mapping goes on, to a whole page.
        unsafe { std::ptr::with_exposed_provenance::<i64>(place).read_unaligned() }
    }

    fn poke(&self, place: usize, code: i64) {
        // SAFETY: changes the child's own copy of its code.
        let result = unsafe {
            libc::ptrace(libc::PTRACE_POKETEXT as _, self.child.pid, place, code as usize)
        };
        assert_eq!(result, 0, "ptrace: {}", std::io::Error::last_os_error());
    }

    /// Goes on to its end. Calls `idle` while it waits for that.
    pub(crate) fn finish(&mut self, idle: impl FnMut(&Self)) -> Status {
        self.ask(libc::PTRACE_CONT as _, 0);
        match self.arrive_idly(idle) {
            At::Ended(status) => status,
            At::Stopped => panic!("stops where it should end"),
        }
    }

    /// Lets it go on by itself.
    pub(crate) fn let_go(self) -> Child {
        self.ask(libc::PTRACE_DETACH as _, 0);
        self.child
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.child.kill();
    }

    pub(crate) fn registers(&self) -> libc::user_regs_struct {
        // SAFETY: zeroes are registers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.ask(libc::PTRACE_GETREGS as _, (&raw mut registers).addr());
        registers
    }

    pub(crate) fn set_registers(&self, registers: &libc::user_regs_struct) {
        self.ask(libc::PTRACE_SETREGS as _, std::ptr::from_ref(registers).addr());
    }

    /// Whether it has stopped at the entry of a system call that sleeps.
    pub(crate) fn is_about_to_sleep(&self) -> bool {
        let registers = self.registers();
        // At an entry the result is not there yet, and this is in its place.
        let is_entry = registers.rax as i64 == -i64::from(libc::ENOSYS);
        let number = registers.orig_rax as i64;
        is_entry && Call::new(number, &registers).is_sleep()
    }

    /// The system call that the next instruction is, if it is one.
    pub(crate) fn next_call(&self, registers: &libc::user_regs_struct) -> Option<Call> {
        (self.peek(registers.rip as usize) & 0xffff == 0x050f)
            .then(|| Call::new(registers.rax as i64, registers))
    }
}

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) number: i64,
    /// What a call of the futex is for. None of these is for the threads of one process only.
    pub(crate) operation: i32,
    /// How many it wakes.
    pub(crate) count: u32,
}

impl Call {
    fn new(number: i64, registers: &libc::user_regs_struct) -> Self {
        let operation = registers.rsi as i32 & !libc::FUTEX_CLOCK_REALTIME;
        Self { number, operation, count: registers.rdx as u32 }
    }

    fn is_futex(self, operations: [i32; 2]) -> bool {
        self.number == libc::SYS_futex && operations.contains(&self.operation)
    }

    pub(crate) fn is_sleep(self) -> bool {
        self.is_futex([libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET])
    }

    pub(crate) fn is_wake(self) -> bool {
        self.is_futex([libc::FUTEX_WAKE, libc::FUTEX_WAKE_BITSET])
    }
}
