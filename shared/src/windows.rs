//! From panes to windows: what an answer is finished from.

use std::collections::HashMap;

use crate::aggregate::count_trigger::CountTrigger;
use crate::aggregate::session::{Fragment, Sessions};
use crate::aggregate::{StateError, States, row};
use crate::groups::Groups;
use crate::view::{Bounds, ViewPlan, Window};

/// Bounds of the only window of a group where the view has no windows.
pub const GLOBAL: Bounds = (0, 0);

/// The windows of some groups, with the states of the view's aggregates. The groups have all panes
/// that the windows are made of; windows without events do not exist.
#[derive(Debug)]
pub struct Windows<'a> {
    /// Bounds and key of each window; [`GLOBAL`] where the view has no windows.
    pub bounds: Vec<Bounds>,
    pub keys: Vec<&'a [u8]>,
    states: StatesOf<'a>,
}

#[derive(Debug)]
enum StatesOf<'a> {
    /// Every pane is a window.
    Panes(&'a [Box<dyn States>]),
    Merged(Vec<Box<dyn States>>),
}

impl<'a> Windows<'a> {
    /// Puts the windows of `groups` together.
    pub fn of(plan: &ViewPlan, groups: &'a Groups) -> Result<Self, StateError> {
        if let Some(trigger) = plan.count_trigger() {
            return Assembly::new(plan).fired(groups, &trigger);
        }
        let window = plan.window.as_ref().map(|column| &column.window);
        match window {
            Some(window) if !window.is_pane() => match plan.sessions() {
                Some(sessions) => Assembly::new(plan).sessions(groups, &sessions),
                None => Assembly::new(plan).panes(groups, window),
            },
            window => Ok(Self::panes(groups, window)),
        }
    }

    fn panes(groups: &'a Groups, window: Option<&Window>) -> Self {
        let bounds = |group| match window {
            Some(window) => window.pane(groups.pane(group).0).unwrap_or((groups.pane(group).0, i64::MAX)),
            None => GLOBAL,
        };
        Self {
            bounds: (0..groups.len()).map(bounds).collect(),
            keys: (0..groups.len()).map(|group| groups.key(group)).collect(),
            states: StatesOf::Panes(groups.states()),
        }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// One column of states per aggregate of the view.
    pub fn states(&self) -> &[Box<dyn States>] {
        match &self.states {
            StatesOf::Panes(states) => states,
            StatesOf::Merged(states) => states,
        }
    }

    /// The windows' numbers, sorted by key, start and end.
    pub fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_unstable_by_key(|window| (self.keys[*window as usize], self.bounds[*window as usize]));
        order
    }
}

/// Windows on the way.
struct Assembly<'a> {
    bounds: Vec<Bounds>,
    keys: Vec<&'a [u8]>,
    states: Vec<Box<dyn States>>,
    index: HashMap<(&'a [u8], Bounds), usize>,
}

impl<'a> Assembly<'a> {
    fn new(plan: &ViewPlan) -> Self {
        Self { bounds: Vec::new(), keys: Vec::new(), states: plan.new_states(), index: HashMap::new() }
    }

    /// Merges every pane into the windows that hold it.
    fn panes(mut self, groups: &'a Groups, window: &Window) -> Result<Windows<'a>, StateError> {
        let mut states = Vec::new();
        for group in 0..groups.len() {
            states.clear();
            row::encode(groups.states(), group, &mut states);
            for bounds in window.windows(groups.pane(group).0) {
                self.add(groups.key(group), bounds, &states)?;
            }
        }
        Ok(self.windows())
    }

    /// Coalesces the fragments that each key has in all its panes.
    fn sessions(mut self, groups: &'a Groups, sessions: &Sessions) -> Result<Windows<'a>, StateError> {
        let mut fragments: HashMap<&'a [u8], Vec<Fragment>> = HashMap::new();
        let mut encoded = Vec::new();
        for group in 0..groups.len() {
            encoded.clear();
            groups.states()[0].encode(group, &mut encoded);
            fragments.entry(groups.key(group)).or_default().extend(sessions.decode(&encoded)?);
        }
        for (key, fragments) in fragments {
            for fragment in sessions.coalesce(fragments)? {
                self.add(key, sessions.bounds(&fragment), &fragment.states)?;
            }
        }
        Ok(self.windows())
    }

    /// What has fired of each group; a group of which nothing has does not exist yet.
    fn fired(mut self, groups: &'a Groups, trigger: &CountTrigger) -> Result<Windows<'a>, StateError> {
        let mut encoded = Vec::new();
        for group in 0..groups.len() {
            encoded.clear();
            groups.states()[0].encode(group, &mut encoded);
            if let Some(states) = trigger.fired(&encoded)? {
                self.add(groups.key(group), GLOBAL, &states)?;
            }
        }
        Ok(self.windows())
    }

    fn add(&mut self, key: &'a [u8], bounds: Bounds, states: &[u8]) -> Result<(), StateError> {
        let window = *self.index.entry((key, bounds)).or_insert_with(|| {
            self.keys.push(key);
            self.bounds.push(bounds);
            self.keys.len() - 1
        });
        self.states.iter_mut().for_each(|column| column.grow(window + 1));
        row::merge(&mut self.states, states, window)
    }

    fn windows(self) -> Windows<'a> {
        Windows { bounds: self.bounds, keys: self.keys, states: StatesOf::Merged(self.states) }
    }
}
