//! `farrow.Retain` and `farrow.Retentions`: what frames keep.

use std::num::NonZeroU64;
use std::sync::Arc;

use arrow_flight::Result as ActionResult;
use farrow_proto::v1;
use farrow_proto::v1::retention_rule::Target;
use farrow_store::{Dropped, FrameName, Prefix, Retention, RetentionRule, RetentionTarget, Scope, View};
use tonic::Response;

use super::actions::{encode, page_limit};
use super::{Answers, Service};
use crate::caller::{Caller, NOBODY};
use crate::error::AgentError;
use crate::rights::Right;

/// Retentions that are looked up at a time while they are sent: as many are in memory while nobody takes them.
const PAGE: usize = 64;

impl Service {
    pub(super) async fn retain(
        &self,
        caller: &Caller,
        request: v1::RetainRequest,
    ) -> Result<Dropped, AgentError> {
        let v1::RetainRequest { name, last, prefix, max_age_seconds, unset } = request;
        // It removes versions, now and later.
        let target = match prefix {
            None => RetentionTarget::Frame(caller.allow(Right::Drop, FrameName::parse(&name)?)?.into_inner()),
            Some(prefix) if name.is_empty() => {
                let prefix = caller.allow_all(Right::Drop, Prefix::pattern(&prefix)?)?;
                RetentionTarget::Prefix(prefix.into_inner())
            }
            Some(prefix) => return Err(AgentError::NameAndPrefix { name, prefix }),
        };
        let said = (NonZeroU64::new(last), NonZeroU64::new(max_age_seconds));
        let retention = match said {
            (None, None) if unset => None,
            _ if unset => return Err(AgentError::UnsetAndSet { last, max_age_seconds }),
            (last, max_age_seconds) => Some(Retention { last, max_age_seconds }),
        };
        let uid = caller.uid().unwrap_or(NOBODY);
        self.blocking(move |service| Ok(service.region.store().retain(&target, retention, uid)?)).await
    }

    /// Those below which the caller may read anything.
    pub(super) fn retentions(
        &self,
        caller: &Caller,
        request: v1::RetentionsRequest,
    ) -> Result<Response<Answers<ActionResult>>, AgentError> {
        let v1::RetentionsRequest { prefix, after, limit } = request;
        let wanted = Prefix::pattern(&prefix)?;
        let scopes = caller.scopes(Right::Read, &wanted);
        let (prefixes, name) = match after.and_then(|after| after.target) {
            None => (Some(None), None),
            Some(Target::Prefix(prefix)) => (Some(Some(Prefix::pattern(&prefix)?)), None),
            // Those of names come behind them.
            Some(Target::Name(name)) => (None, Some(FrameName::parse(&name)?)),
        };
        let (view, user, caller) = (self.region.view(), caller.user(), caller.clone());
        let seen =
            move |prefix: &Prefix| prefix.overlaps(&wanted) && !caller.scopes(Right::Read, prefix).is_empty();
        let prefixes = prefixes.map(|after| of_prefixes(view.clone(), seen, after));
        let rules = prefixes.into_iter().flatten().chain(of_names(view.clone(), scopes, name));
        self.pump(user, rules.take(page_limit(limit)).map(|rule| Ok(encode(&message(rule)))))
    }
}

/// Those of prefixes behind one that `seen` takes, by their text. They are looked up some at a time.
fn of_prefixes(
    view: Arc<View>,
    seen: impl Fn(&Prefix) -> bool,
    mut after: Option<Prefix>,
) -> impl Iterator<Item = RetentionRule> {
    let mut page = Vec::new().into_iter();
    std::iter::from_fn(move || {
        loop {
            if page.len() == 0 {
                page = view.prefix_retentions(after.as_ref(), PAGE).into_iter();
            }
            let rule: RetentionRule = page.next()?;
            if let RetentionTarget::Prefix(prefix) = &rule.target {
                after = Some(prefix.clone());
                if seen(prefix) {
                    return Some(rule);
                }
            }
        }
    })
}

/// Those of names in these scopes behind one, in order. They are looked up some at a time.
fn of_names(
    view: Arc<View>,
    scopes: Vec<Scope>,
    mut after: Option<FrameName>,
) -> impl Iterator<Item = RetentionRule> {
    let mut scopes = scopes.into_iter().peekable();
    let mut page = Vec::new().into_iter();
    std::iter::from_fn(move || {
        while page.len() == 0 {
            let Scope { start, exact } = scopes.peek()?;
            let found = view.name_retentions(start, after.as_ref(), PAGE);
            page = in_scope(found, start, *exact).into_iter();
            match page.as_slice().last() {
                Some(RetentionRule { target: RetentionTarget::Frame(last), .. }) => {
                    after = Some(last.clone());
                }
                // Nothing is left of this one.
                _ => drop(scopes.next()),
            }
        }
        page.next()
    })
}

/// Of names that begin so, all, or the one that is no longer.
fn in_scope(found: Vec<RetentionRule>, start: &str, exact: bool) -> Vec<RetentionRule> {
    let is_meant = |rule: &RetentionRule| {
        !exact || matches!(&rule.target, RetentionTarget::Frame(name) if name.as_str() == start)
    };
    found.into_iter().filter(is_meant).collect()
}

fn message(rule: RetentionRule) -> v1::RetentionRule {
    let RetentionRule { target, retention: Retention { last, max_age_seconds }, uid } = rule;
    v1::RetentionRule {
        target: Some(match target {
            RetentionTarget::Frame(name) => Target::Name(name.as_str().to_owned()),
            RetentionTarget::Prefix(prefix) => Target::Prefix(prefix.to_string()),
        }),
        last: last.map_or(0, NonZeroU64::get),
        max_age_seconds: max_age_seconds.map_or(0, NonZeroU64::get),
        uid,
    }
}

#[cfg(test)]
mod tests;
