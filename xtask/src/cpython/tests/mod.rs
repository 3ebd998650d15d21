//! CPython's own tests, with both interpreters, compared test by test.

mod compare;
mod junit;
mod module;

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};

use super::cli::TestArgs;
use super::command::{output, progress, say, seconds};
use super::work::{Variant, Work};
use crate::Outcome;
use compare::Comparison;
use module::{Run, run_module};

/// The tests of `Modules/_testinternalcapi/test_lock.c` and `test_critical_sections.c`.
const INTERNAL: [&str; 5] = ["test_capi.test_misc", "-m", "*lock*", "-m", "*critical*"];

/// The modules that lean hardest on the locks.
const MODULES: [&str; 23] = [
    "test_free_threading",
    "test_threading",
    "test_thread",
    "test_threadsignals",
    "test_queue",
    "test_copy",
    "test_io",
    "test_functools",
    "test_super",
    "test_capi",
    "test_fork1",
    "test_signal",
    "test_dict",
    "test_list",
    "test_concurrent_futures",
    "test_asyncio",
    "test_multiprocessing_spawn",
    "test_multiprocessing_fork",
    "test_multiprocessing_forkserver",
    "test_subprocess",
    "test_importlib",
    "test_gc",
    "test_weakref",
];

pub(crate) fn run(work: &Work, args: &TestArgs) -> Result<Outcome> {
    if args.fresh {
        let _ = fs::remove_dir_all(work.root.join(work.tagged("results")));
    }
    let internal_failed = internal(work, args.internal)?;
    let modules = modules(work, args)?;
    let mut runs = all(work, &modules)?;
    repeat_what_fails_only_in_ours(work, &mut runs, args.repeat)?;
    let comparison = Comparison::of(&runs);
    comparison.show(work)?;
    Ok(Outcome::of(internal_failed || comparison.has_problems()))
}

/// The internal tests, again and again; says whether ours failed.
fn internal(work: &Work, times: usize) -> Result<bool> {
    let mut failed = false;
    for variant in Variant::BOTH {
        let started = Instant::now();
        let (mut passed, mut tests) = (0, 0);
        let mut reports = BTreeSet::new();
        for n in 0..times {
            progress(&format!("internal tests, {}: {n} of {times}", variant.name()));
            let run = run_module(work, variant, &INTERNAL, &format!("internal-{n}"))?;
            passed += usize::from(run.is_clean());
            tests = run.passed();
            reports.extend(run.reports);
        }
        say(&format!(
            "internal tests, {}: {passed} of {times} runs of {tests} tests passed  {}",
            variant.name(),
            seconds(started.elapsed())
        ));
        for report in reports {
            say(&format!("  {report}"));
        }
        failed |= variant == Variant::Rust && (passed < times || tests == 0 && times > 0);
    }
    Ok(failed)
}

/// The modules to run; packages such as test_asyncio by their parts.
fn modules(work: &Work, args: &TestArgs) -> Result<Vec<String>> {
    let mut command = work.command(work.python(Variant::Baseline), Variant::Baseline);
    command.args(["-m", "test", "--list-tests"]);
    if args.only.is_empty() && !args.full {
        command.args(MODULES);
    } else {
        command.args(&args.only);
    }
    let modules: Vec<String> = output(&mut command)?.lines().map(str::to_owned).collect();
    if modules.is_empty() {
        bail!("no such test module");
    }
    Ok(modules)
}

/// The runs of one module.
struct Runs {
    module: String,
    baseline: Vec<Run>,
    rust: Vec<Run>,
}

impl Runs {
    fn of(&mut self, variant: Variant) -> &mut Vec<Run> {
        match variant {
            Variant::Baseline => &mut self.baseline,
            Variant::Rust | Variant::Faithful => &mut self.rust,
        }
    }
}

/// Each module once in each, several at a time; the two of a module follow one another, so that
/// both find the machine in the same state.
fn all(work: &Work, modules: &[String]) -> Result<Vec<Runs>> {
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..modules.len()).collect());
    let done: Mutex<Vec<Option<Runs>>> = Mutex::new(modules.iter().map(|_| None).collect());
    let finished = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let worker = || -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let Some(next) = lock(&queue).pop_front() else { break };
            let module = &modules[next];
            let mut runs = Runs { module: module.clone(), baseline: Vec::new(), rust: Vec::new() };
            for variant in Variant::BOTH {
                let run = run_module(work, variant, &[module], &format!("{module}-0"));
                if run.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                runs.of(variant).push(run?);
            }
            let n = finished.fetch_add(1, Ordering::Relaxed) + 1;
            say(&format!(
                "[{n}/{}] {module:<44} {} | {}",
                modules.len(),
                runs.baseline[0].summary(),
                runs.rust[0].summary()
            ));
            lock(&done)[next] = Some(runs);
        }
        Ok(())
    };
    say("module: baseline | rust");
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..work.jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(_) => bail!("a worker of the test run panicked"),
        })
    })?;
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(done.into_iter().flatten().collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Some tests fail now and then. A module with a test that has failed only in ours runs again in
/// both, alone.
fn repeat_what_fails_only_in_ours(work: &Work, runs: &mut [Runs], times: usize) -> Result<()> {
    for runs in runs {
        if compare::only_in_rust(runs).is_empty() {
            continue;
        }
        for n in 1..=times {
            for variant in Variant::BOTH {
                let module = runs.module.clone();
                progress(&format!("{module} again, {n} of {times}, {}", variant.name()));
                let run = run_module(work, variant, &[&module], &format!("{module}-{n}"))?;
                runs.of(variant).push(run);
            }
        }
    }
    Ok(())
}
