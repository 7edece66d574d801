//! Listings: what of the region's frames a caller may know of.

use farrow_store::{FrameName, Listed, Prefix, Scope};

use super::Service;
use crate::caller::Caller;
use crate::error::AgentError;
use crate::rights::Right;

/// Frames that are looked up at a time while a listing is sent.
const PAGE: usize = 256;

impl Service {
    /// All frames of `prefix` after `after` that the caller may read, by name, up to the first error. They are looked up some at a time.
    pub(super) fn all_readable(
        &self,
        caller: Caller,
        prefix: Prefix,
        mut after: Option<FrameName>,
    ) -> impl Iterator<Item = Result<Listed, AgentError>> + Send + use<> {
        let service = self.clone();
        let mut page = Vec::new().into_iter();
        std::iter::from_fn(move || {
            if page.len() == 0 {
                match service.readable(&caller, &prefix, after.as_ref(), PAGE) {
                    Ok(next) => page = next.into_iter(),
                    Err(error) => return Some(Err(error)),
                }
                after = Some(page.as_slice().last()?.name().clone());
            }
            page.next().map(Ok)
        })
    }

    /// The first `limit` frames of `prefix` after `after` that the caller may read, by name. None: that was all. Frames that it may not read cost nothing.
    fn readable(
        &self,
        caller: &Caller,
        prefix: &Prefix,
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
            let found = self.region.view().list_all(&start, after, if exact { left.min(1) } else { left })?;
            page.extend(found.into_iter().filter(|listed| !exact || listed.name().as_str() == start));
            if page.len() >= limit {
                break;
            }
        }
        Ok(page)
    }
}
