//! The picture as Graphviz reads it.

use std::fmt::Write;

use crate::graph::{Picture, Wait};

/// An arrow leads from a thread to the account that it waits for, and from there to the thread that is
/// inside.
pub(crate) fn draw(picture: &Picture) -> String {
    let mut out = String::new();
    writeln!(out, "digraph waits {{").unwrap();
    writeln!(out, "  label=\"{}\"; labelloc=t; rankdir=BT; fontname=sans;", picture.told).unwrap();
    writeln!(out, "  node [fontname=sans]; edge [fontname=sans];").unwrap();
    cluster(&mut out, "chains", "the longest chain that was seen", &picture.waits, None);
    if let Some(ring) = &picture.ring {
        let title = "the largest deadlock that was broken";
        cluster(&mut out, "ring", title, &ring.waits, Some(ring.waits[ring.victim].thread));
    }
    writeln!(out, "}}").unwrap();
    out
}

fn cluster(out: &mut String, id: &str, title: &str, waits: &[Wait], loser: Option<usize>) {
    writeln!(out, "  subgraph cluster_{id} {{\n    label=\"{title}\";").unwrap();
    let mut threads: Vec<_> = waits.iter().flat_map(|wait| [wait.thread, wait.owner]).collect();
    threads.sort_unstable();
    threads.dedup();
    for thread in threads {
        let colour = match waits.iter().any(|wait| wait.thread == thread) {
            _ if loser == Some(thread) => "color=red, fontcolor=red, penwidth=2",
            true => "color=gray40",
            false => "color=darkgreen, fontcolor=darkgreen, penwidth=2",
        };
        writeln!(out, "    {id}_thread{thread} [label=\"thread {thread}\", {colour}];").unwrap();
    }
    let mut owned: Vec<_> = waits.iter().map(|wait| (wait.account, wait.owner)).collect();
    owned.sort_unstable();
    owned.dedup();
    for (account, owner) in owned {
        writeln!(out, "    {id}_{account} [label=\"{account}\", shape=box, style=rounded];")
            .unwrap();
        writeln!(out, "    {id}_{account} -> {id}_thread{owner} [label=\"inside\", style=bold];")
            .unwrap();
    }
    for Wait { thread, account, .. } in waits {
        writeln!(out, "    {id}_thread{thread} -> {id}_{account} [label=\"wants\", style=dashed];")
            .unwrap();
    }
    writeln!(out, "  }}").unwrap();
}
