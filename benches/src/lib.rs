//! Benchmarks of pysync beside its peers: `cargo bench -p pysync-benches`.
//!
//! Times are of this machine at this moment. Compare within a run, never across.
