//! Listings: what of the region's frames a caller may know of.

use farrow_store::{FrameName, Listed};

use super::Service;
use crate::caller::Caller;
use crate::error::AgentError;
use crate::rights::{Right, Scope};

impl Service {
    /// The first `limit` frames after `after` whose names begin with `prefix` and that the caller may read, by name.
    /// None: that was all. Frames that it may not read cost nothing.
    pub(super) fn readable(
        &self,
        caller: &Caller,
        prefix: &str,
        after: Option<&FrameName>,
        limit: usize,
    ) -> Result<Vec<Listed>, AgentError> {
        let mut page = Vec::new();
        for Scope { start, exact } in caller.scopes(Right::Read, prefix) {
            let passed = |after: &FrameName| {
                after.as_str() >= start.as_str() && (exact || !after.as_str().starts_with(&start))
            };
            if after.is_some_and(passed) {
                continue;
            }
            let left = limit - page.len();
            let found =
                self.region.store().list_all(&start, after, if exact { left.min(1) } else { left })?;
            page.extend(found.into_iter().filter(|listed| !exact || listed.name().as_str() == start));
            if page.len() >= limit {
                break;
            }
        }
        Ok(page)
    }
}
