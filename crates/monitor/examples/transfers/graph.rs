//! What is drawn: who waits for whom.

use std::fmt;

use pysync_monitor::Link;

/// One thread that waits.
#[derive(Clone)]
pub(crate) struct Wait {
    pub(crate) thread: usize,
    /// The greater, the younger.
    pub(crate) age: usize,
    pub(crate) account: &'static str,
    /// The thread that is inside of the account.
    pub(crate) owner: usize,
}

/// A deadlock that was broken.
pub(crate) struct Ring {
    pub(crate) waits: Vec<Wait>,
    pub(crate) victim: usize,
}

pub(crate) struct Picture {
    pub(crate) waits: Vec<Wait>,
    pub(crate) ring: Option<Ring>,
    /// The run in one line.
    pub(crate) told: String,
}

impl Wait {
    /// From a link, if it is that of a thread that waits for another one to leave an account.
    pub(crate) fn new(link: &Link, number: fn(u64) -> usize) -> Option<Self> {
        Some(Self {
            thread: number(link.thread),
            age: link.age,
            account: link.wants?.name()?,
            owner: number(link.waits_for?),
        })
    }
}

fn wait_of(waits: &[Wait], thread: usize) -> Option<&Wait> {
    waits.iter().find(|wait| wait.thread == thread)
}

/// The wait of a thread, that of the thread for which it waits, and so on. `None` if they make a cycle, which
/// is about to be broken.
fn chain(waits: &[Wait], thread: usize) -> Option<Vec<&Wait>> {
    let next = |wait: &&Wait| wait_of(waits, wait.owner);
    let chain: Vec<_> =
        std::iter::successors(wait_of(waits, thread), next).take(waits.len() + 1).collect();
    (chain.len() <= waits.len()).then_some(chain)
}

fn longest(waits: &[Wait]) -> Option<Vec<&Wait>> {
    let mut longest = Vec::new();
    for wait in waits {
        let chain = chain(waits, wait.thread)?;
        if chain.len() > longest.len() {
            longest = chain;
        }
    }
    Some(longest)
}

/// Of how many waits the longest chain is; 0 if there is a cycle, which is drawn elsewhere.
pub(crate) fn longest_chain(waits: &[Wait]) -> usize {
    longest(waits).map_or(0, |chain| chain.len())
}

/// A thread or an account, and what waits for it.
pub(crate) struct Tree<'a> {
    pub(crate) what: What<'a>,
    pub(crate) children: Vec<Tree<'a>>,
}

pub(crate) enum What<'a> {
    /// A thread that does not wait.
    Runs(usize),
    Waits(usize),
    Account(&'a str),
}

/// A tree for each thread that others wait for and that waits for none, the largest first.
pub(crate) fn forest(waits: &[Wait]) -> Vec<Tree<'_>> {
    let mut roots: Vec<usize> = waits.iter().map(|wait| wait.owner).collect();
    roots.retain(|&owner| wait_of(waits, owner).is_none());
    roots.sort_unstable();
    roots.dedup();
    let tree = |root| Tree { what: What::Runs(root), children: inside(waits, root) };
    let mut forest: Vec<_> = roots.into_iter().map(tree).collect();
    forest.sort_by_key(|tree| std::cmp::Reverse(tree.depth()));
    forest
}

/// The accounts that a thread is inside of and others wait for.
fn inside(waits: &[Wait], owner: usize) -> Vec<Tree<'_>> {
    let mut accounts: Vec<&str> = Vec::new();
    for wait in waits.iter().filter(|wait| wait.owner == owner) {
        if !accounts.contains(&wait.account) {
            accounts.push(wait.account);
        }
    }
    let account = |account| Tree {
        what: What::Account(account),
        children: waits
            .iter()
            .filter(|wait| wait.owner == owner && wait.account == account)
            .map(|wait| Tree {
                what: What::Waits(wait.thread),
                children: inside(waits, wait.thread),
            })
            .collect(),
    };
    accounts.into_iter().map(account).collect()
}

impl Tree<'_> {
    fn depth(&self) -> usize {
        1 + self.children.iter().map(Tree::depth).max().unwrap_or(0)
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.told)?;
        if let Some(chain) = longest(&self.waits).filter(|chain| !chain.is_empty()) {
            writeln!(f, "\nthe longest chain that was seen:")?;
            for wait in &chain {
                let Wait { thread, account, owner, .. } = wait;
                writeln!(
                    f,
                    "  thread {thread} waits for {account}, where thread {owner} is inside"
                )?;
            }
            writeln!(f, "  thread {} runs", chain[chain.len() - 1].owner)?;
        }
        if let Some(ring) = &self.ring {
            writeln!(f, "\nthe largest deadlock that was broken:")?;
            for (at, wait) in ring.waits.iter().enumerate() {
                let Wait { thread, account, owner, .. } = wait;
                let lost = if at == ring.victim { " (the youngest: has lost)" } else { "" };
                writeln!(
                    f,
                    "  thread {thread}{lost} waits for {account}, where thread {owner} is inside"
                )?;
            }
        }
        Ok(())
    }
}
