use anabranch_shared::position::Pane;
use anabranch_shared::realtime::Slot;
use redis::{Cmd, cmd};

/// The names of a slot's keys.
pub(super) struct Keys {
    prefix: String,
    pub(super) progress: String,
    pub(super) panes: String,
}

impl Keys {
    pub(super) fn new(project: &str, slot: &Slot) -> Self {
        let prefix = format!("anabranch:{project}:{{{}:{}:{}}}:", slot.view, slot.generation, slot.partition);
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
