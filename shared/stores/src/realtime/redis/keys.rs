use anabranch_model::position::Pane;
use anabranch_model::realtime::Slot;
use redis::{Cmd, cmd};

/// What the keys of a storage root begin with.
pub(super) fn prefix(project: &str, identity: &str) -> String {
    format!("anabranch:{project}:{identity}:")
}

/// What the keys of the root that this key is of begin with, up to the slot's brace: keys from before roots had
/// identities have the project's name alone, and without the brace all others would begin like them.
pub(super) fn prefix_of(project: &str, key: &str) -> Option<String> {
    let of_project = format!("anabranch:{project}:");
    let rest = key.strip_prefix(&of_project)?;
    let (identity, _) = rest.split_once('{')?;
    (identity.is_empty() || !identity.trim_end_matches(':').contains(':')).then(|| format!("{of_project}{identity}{{"))
}

/// The names of a slot's keys.
pub(super) struct Keys {
    prefix: String,
    pub(super) progress: String,
    pub(super) panes: String,
}

impl Keys {
    pub(super) fn new(project: &str, identity: &str, slot: &Slot) -> Self {
        let of_root = prefix(project, identity);
        let prefix = format!("{of_root}{{{}:{}:{}}}:", slot.view, slot.generation, slot.partition);
        Self { progress: format!("{prefix}progress"), panes: format!("{prefix}panes"), prefix }
    }

    pub(super) fn pane(&self, pane: Pane) -> String {
        format!("{}pane:{pane}", self.prefix)
    }

    pub(super) fn get_progress(&self) -> Cmd {
        let mut get = cmd("HGETALL");
        get.arg(&self.progress);
        get
    }
}
