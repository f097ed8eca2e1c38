//! The states that wait in a guided search.

use std::sync::Arc;

/// Actions from the start to a state, the last first.
pub(super) struct Path {
    pub parent: Option<Arc<Path>>,
    pub action: usize,
    pub length: usize,
}

impl Path {
    /// The actions along it.
    pub fn actions(&self) -> Vec<usize> {
        let mut actions = Vec::with_capacity(self.length);
        let mut at = self;
        while let Some(parent) = &at.parent {
            actions.push(at.action);
            at = parent;
        }
        actions.reverse();
        actions
    }
}

/// A rewrite that waits.
pub(super) struct Waiting {
    pub promise: f64,
    /// Order of arrival: among equals the first.
    pub serial: usize,
    pub parent: Arc<Path>,
    pub action: usize,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.promise.total_cmp(&other.promise).then(other.serial.cmp(&self.serial))
    }
}
