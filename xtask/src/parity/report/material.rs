//! What the pages are made of: both texts with their colours, and the audit that joins them.

use std::collections::BTreeMap;

use anyhow::Result;

use super::highlight::Colours;
use crate::parity::audit::Audit;
use crate::parity::cpython::Source;
use crate::parity::deviations::{self, Deviation};
use crate::parity::index::{Index, Text};
use crate::parity::rust::RustFile;
use crate::workspace::Workspace;

pub(super) struct Material<'a> {
    pub(super) index: &'a Index,
    pub(super) audit: &'a Audit,
    /// Beside [`Material::rust`].
    pub(super) files: &'a [RustFile],
    pub(super) c: BTreeMap<&'a str, CFile<'a>>,
    pub(super) rust: Vec<RustText>,
    pub(super) deviations: Vec<Deviation>,
}

pub(super) struct CFile<'a> {
    pub(super) raw: Vec<&'a str>,
    pub(super) html: Vec<String>,
    pub(super) text: Text,
}

pub(super) struct RustText {
    pub(super) raw: Vec<String>,
    pub(super) html: Vec<String>,
}

impl<'a> Material<'a> {
    pub(super) fn read(
        workspace: &Workspace,
        index: &'a Index,
        source: &'a Source,
        files: &'a [RustFile],
        audit: &'a Audit,
    ) -> Result<Self> {
        let colours = Colours::new()?;
        let mut c = BTreeMap::new();
        for (path, text) in &source.files {
            let file = CFile {
                raw: text.lines().collect(),
                html: colours.c(text)?,
                text: Text::new(text),
            };
            c.insert(path.as_str(), file);
        }
        let mut rust = Vec::new();
        for file in files {
            // Files without an anchor appear nowhere.
            if file.anchors.is_empty() {
                rust.push(RustText { raw: Vec::new(), html: Vec::new() });
                continue;
            }
            let text = workspace.read(&file.path)?;
            rust.push(RustText {
                html: colours.rust(&text)?,
                raw: text.lines().map(str::to_owned).collect(),
            });
        }
        let deviations = deviations::entries(workspace);
        Ok(Self { index, audit, files, c, rust, deviations })
    }

    pub(super) fn deviation(&self, id: &str) -> Option<&Deviation> {
        self.deviations.iter().find(|deviation| deviation.id == id)
    }
}
