//! From panes to windows: what an answer is finished from.

use std::collections::HashMap;

use crate::groups::Groups;
use crate::plan::ViewPlan;
use crate::window::{Bounds, Window};
use anabranch_algebra::windowed::count_trigger::CountTrigger;
use anabranch_algebra::windowed::session::{Fragment, Sessions};
use anabranch_algebra::{StateError, States, row};

/// Bounds of the only window of a group where the view has no windows.
pub const GLOBAL: Bounds = (0, 0);

/// Up to so many panes in a window, merging each into each of its windows is the faster way.
const FEW_PANES: i64 = 6;

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
                None => match window.overlap() {
                    Some((size_us, panes)) if panes > FEW_PANES => {
                        Assembly::new(plan).running(plan, groups, window, size_us)
                    }
                    _ => Assembly::new(plan).panes(groups, window),
                },
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
        for group in 0..groups.len() {
            for bounds in window.windows(groups.pane(group).0) {
                let window = self.window(groups.key(group), bounds);
                row::copy(groups.states(), group, &mut self.states, window)?;
            }
        }
        Ok(self.windows())
    }

    /// The same by running merges, so that a pane is merged a few times and not once per window (van
    /// Herk, "A fast algorithm for local minimum and maximum filters", 1992): time is cut into slices
    /// of a window's size, and every pane knows what its slice holds up to it and from it on. A window
    /// reaches over the end of one slice at most.
    fn running(
        mut self,
        plan: &ViewPlan,
        groups: &'a Groups,
        window: &Window,
        size_us: i64,
    ) -> Result<Windows<'a>, StateError> {
        let order = groups.order();
        let pane = |i: usize| groups.pane(order[i]).0;
        let slice = |i: usize| (groups.key(order[i]), pane(i).div_euclid(size_us));
        let (mut up_to, mut from) = (plan.new_states(), plan.new_states());
        up_to.iter_mut().chain(&mut from).for_each(|column| column.grow(order.len()));
        for (i, group) in order.iter().enumerate() {
            row::copy(groups.states(), *group, &mut up_to, i)?;
            if i > 0 && slice(i - 1) == slice(i) {
                row::carry(&mut up_to, i - 1, i)?;
            }
        }
        for i in (0..order.len()).rev() {
            row::copy(groups.states(), order[i], &mut from, i)?;
            if i + 1 < order.len() && slice(i + 1) == slice(i) {
                row::carry(&mut from, i + 1, i)?;
            }
        }
        let mut begin = 0;
        while begin < order.len() {
            let key = groups.key(order[begin]);
            let end = begin + order[begin..].partition_point(|group| groups.key(*group) <= key);
            let (mut first, mut beyond, mut last) = (begin, begin, None);
            for i in begin..end {
                for bounds in window.windows(pane(i)) {
                    if last.is_some_and(|last| bounds <= last) {
                        continue;
                    }
                    last = Some(bounds);
                    // Starts and ends ascend from window to window.
                    first += (first..end).take_while(|i| pane(*i) < bounds.0).count();
                    beyond += (beyond..end).take_while(|i| pane(*i) < bounds.1).count();
                    let added = self.new_window(key, bounds);
                    let is_within = slice(first) == slice(beyond - 1);
                    let begins_slice = first == begin || slice(first - 1) != slice(first);
                    if !(is_within && begins_slice) {
                        row::copy(&from, first, &mut self.states, added)?;
                    }
                    if !is_within || begins_slice {
                        row::copy(&up_to, beyond - 1, &mut self.states, added)?;
                    }
                }
            }
            begin = end;
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
        let window = self.window(key, bounds);
        row::merge(&mut self.states, states, window)
    }

    fn window(&mut self, key: &'a [u8], bounds: Bounds) -> usize {
        if let Some(window) = self.index.get(&(key, bounds)) {
            return *window;
        }
        let window = self.new_window(key, bounds);
        self.index.insert((key, bounds), window);
        window
    }

    fn new_window(&mut self, key: &'a [u8], bounds: Bounds) -> usize {
        self.keys.push(key);
        self.bounds.push(bounds);
        self.states.iter_mut().for_each(|column| column.grow(self.keys.len()));
        self.keys.len() - 1
    }

    fn windows(self) -> Windows<'a> {
        Windows { bounds: self.bounds, keys: self.keys, states: StatesOf::Merged(self.states) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use anabranch_model::position::Pane;
    use anabranch_model::project::{Column, Source};

    fn plan(window: &str) -> ViewPlan {
        let columns = [("k", "VARCHAR"), ("x", "DOUBLE"), ("ts", "TIMESTAMP NOT NULL")];
        let source = Source {
            name: "s".into(),
            topic: "s".into(),
            partitions: 1,
            event_time: "ts".into(),
            lateness_us: 0,
            max_future_us: 0,
            key: vec![],
            columns: columns.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
        };
        let sql =
            format!("SELECT k, window_start, count(*) AS c, sum(x) AS s, max(ts) AS t FROM s GROUP BY k, {window}");
        ViewPlan::parse("v.sql", &sql, &BTreeMap::from([("s".into(), source)])).unwrap()
    }

    /// Each window with its bytes.
    fn rows(windows: &Windows<'_>) -> Vec<(Vec<u8>, Bounds, Vec<u8>)> {
        let row = |window: u32| {
            let mut states = Vec::new();
            row::encode(windows.states(), window as usize, &mut states);
            (windows.keys[window as usize].to_vec(), windows.bounds[window as usize], states)
        };
        windows.order().into_iter().map(row).collect()
    }

    proptest! {
        #[test]
        fn running_merges_give_what_merging_every_pane_gives(
            panes in prop::collection::vec((0u8..3, -90i64..90, any::<i32>()), 0..60),
            function in prop_oneof![
                (1i64..13, 1i64..40).prop_map(|(slide, size)| format!("hop(ts, INTERVAL '{slide} seconds', INTERVAL '{size} seconds')")),
                (1i64..5, 1i64..12).prop_map(|(step, n)| format!("cumulate(ts, INTERVAL '{step} seconds', INTERVAL '{} seconds')", step * n)),
            ],
        ) {
            let plan = plan(&function);
            let window = &plan.window.as_ref().unwrap().window;
            let mut groups = Groups::new(&plan);
            let mut states = plan.new_states();
            states.iter_mut().for_each(|column| column.grow(1));
            for (key, second, x) in panes {
                let mut row = Vec::new();
                let args: [arrow::array::ArrayRef; 3] = [
                    std::sync::Arc::new(arrow::array::Int64Array::from(vec![1])),
                    std::sync::Arc::new(arrow::array::Float64Array::from(vec![f64::from(x) * 1e-3])),
                    std::sync::Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![second])),
                ];
                let mut one = plan.new_states();
                one.iter_mut().zip(&args).for_each(|(column, arg)| {
                    column.grow(1);
                    column.lift(std::slice::from_ref(arg), &[0], None);
                });
                row::encode(&one, 0, &mut row);
                let (start, _) = window.pane(second * 1_000_000).unwrap();
                groups.merge(Pane(start), &[1, key], &row).unwrap();
            }
            let (size_us, _) = window.overlap().unwrap();
            let running = Assembly::new(&plan).running(&plan, &groups, window, size_us).unwrap();
            let plain = Assembly::new(&plan).panes(&groups, window).unwrap();
            prop_assert_eq!(rows(&running), rows(&plain), "{}", function);
        }
    }
}
