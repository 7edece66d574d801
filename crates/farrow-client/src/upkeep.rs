//! The upkeep of a region: listing, checking, dropping, space, and how the agent is.

use std::time::Duration;

use bytes::Bytes;
use farrow_proto::{Action, Reason, v1};
use prost::Message;
use tonic::Code;

use crate::client::Client;
use crate::error::ClientError;
use crate::info::{Dropped, Health, Info, LeaseInfo, Usage, Verified, VersionInfo};
use crate::retention::{self, Retention, RetentionRule, RetentionTarget};

impl Client {
    /// The latest version of each frame of `prefix`, by name. Prefixes are of whole components: `sales` is the frame of
    /// that name and all frames below it, `sales/` all below it, and the empty one every frame; `sales/2024*` is all
    /// frames whose names begin with that text. A `*` elsewhere and a `?` are refused
    /// ([`Reason::InvalidName`](crate::Reason::InvalidName)).
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// for info in client.list("sales/").await? {
    ///     println!("{}@{}: {} bytes", info.name, info.version, info.bytes);
    /// }
    /// # Ok(()) });
    /// ```
    pub async fn list(&self, prefix: &str) -> Result<Vec<Info>, ClientError> {
        let mut infos: Vec<Info> = Vec::new();
        loop {
            let after = infos.last().map(|info| info.name.clone()).unwrap_or_default();
            let request = v1::ListRequest { prefix: prefix.to_owned(), after, limit: 0 };
            let page: Vec<v1::FrameInfo> = self.connection.action(Action::List, &request).await?;
            if page.is_empty() {
                return Ok(infos);
            }
            infos.extend(page.into_iter().map(Info::from));
        }
    }

    /// The facts about a frame's latest version, or about `name@version`, without mapping it.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let info = client.stat("sales/orders@1").await?;
    /// assert_eq!((info.version, info.rows), (1, Some(3)));
    /// # Ok(()) });
    /// ```
    pub async fn stat(&self, name: &str) -> Result<Info, ClientError> {
        let request = v1::StatRequest { name: name.to_owned(), version: 0 };
        Ok(self.connection.action_result::<v1::FrameInfo>(Action::Stat, &request).await?.into())
    }

    /// The versions that a frame has, oldest first.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// for version in client.versions("sales/orders").await? {
    ///     println!("@{}: {} bytes of its own", version.info.version, version.own_bytes);
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Refused`], with [`Reason::NotFound`](crate::Reason::NotFound) if there is no such frame.
    pub async fn versions(&self, name: &str) -> Result<Vec<VersionInfo>, ClientError> {
        let mut versions: Vec<VersionInfo> = Vec::new();
        loop {
            let after = versions.last().map_or(0, |last| last.info.version);
            let request = v1::VersionsRequest { name: name.to_owned(), after, limit: 0 };
            let page: Vec<v1::VersionInfo> = self.connection.action(Action::Versions, &request).await?;
            if page.is_empty() {
                return Ok(versions);
            }
            versions.extend(page.into_iter().map(VersionInfo::from));
        }
    }

    /// Has the agent read a frame's latest version, or `name@version`, and compare every batch with the checksum
    /// recorded at its commit. `progress` is told now and then how far it is.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let verified = client.verify("sales/orders", |so_far| println!("{} bytes", so_far.bytes_done)).await?;
    /// assert_eq!(verified.batches, 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Refused`], with [`Reason::Corrupt`](crate::Reason::Corrupt) and the first batch that differs.
    pub async fn verify(
        &self,
        name: &str,
        mut progress: impl FnMut(&Verified),
    ) -> Result<Verified, ClientError> {
        let request = v1::VerifyRequest { name: name.to_owned() };
        let body = Bytes::from(request.encode_to_vec());
        let mut last = None;
        let each = |result: v1::VerifyProgress| progress(last.insert(result.into()));
        self.connection.action_once(Action::Verify, body, each).await?;
        last.filter(|last| last.bytes_done == last.bytes)
            .ok_or_else(|| ClientError::Answer { what: "farrow.Verify ended before the version did".into() })
    }

    /// Removes a frame, or one version of it (`name@version`), from all look-ups at once. Who has it mapped keeps it.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let dropped = client.drop("sales/orders").await?;
    /// assert_eq!((dropped.frames, dropped.versions), (1, 2));
    /// # Ok(()) });
    /// ```
    pub async fn drop(&self, name: &str) -> Result<Dropped, ClientError> {
        // The agent parses names; only the version has to be told apart here.
        let (name, version) = match name.rsplit_once('@') {
            Some((frame, version)) => match version.parse::<u64>() {
                Ok(version @ 1..) => (frame, version),
                _ => (name, 0),
            },
            None => (name, 0),
        };
        let request = v1::DropRequest { name: name.to_owned(), version, prefix: String::new() };
        self.connection.action_result::<v1::DropResult>(Action::Drop, &request).await.map(Dropped::from)
    }

    /// Removes all frames of `prefix` ([as `list`](Self::list) takes it): all of them at once, or none. The empty one is
    /// refused; `*` is every frame.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// assert_eq!(client.drop_prefix("sales/").await?.frames, 1);
    /// # Ok(()) });
    /// ```
    pub async fn drop_prefix(&self, prefix: &str) -> Result<Dropped, ClientError> {
        if prefix.is_empty() {
            // In the request it would be no prefix, and no name either.
            return Err(ClientError::Refused {
                reason: Some(Reason::InvalidName),
                code: Code::InvalidArgument,
                message: "the prefix is empty, which would be every frame. For that: the prefix `*`"
                    .to_owned(),
                advice: None,
            });
        }
        let request = v1::DropRequest { prefix: prefix.to_owned(), ..Default::default() };
        self.connection.action_result::<v1::DropResult>(Action::Drop, &request).await.map(Dropped::from)
    }

    /// Says what a frame keeps from now on; versions that are too many are removed at once. With `None` nothing is said of
    /// the frame alone any more, and it keeps what its longest prefix [says](Self::retain_prefix), or all.
    ///
    /// It ends when the whole frame is removed. If there is no such frame yet, it waits for it.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// use farrow_client::Retention;
    ///
    /// assert_eq!(client.retain("sales/orders", Retention::last(1)).await?.versions, 1);
    /// assert_eq!(client.stat("sales/orders").await?.retention, 1);
    /// client.retain("sales/orders", None).await?;
    /// # Ok(()) });
    /// ```
    pub async fn retain(
        &self,
        name: &str,
        retention: impl Into<Option<Retention>>,
    ) -> Result<Dropped, ClientError> {
        self.set_retention(RetentionTarget::Frame(name.to_owned()), retention.into()).await
    }

    /// Says what all frames of `prefix` ([as `list`](Self::list) takes it, but of whole components; the empty one is the
    /// region) keep from now on, those that are yet to come included, or with `None` takes that back. Of a frame one
    /// retention holds, as a whole: its own, or else that of the longest prefix that has one. It takes the right to drop
    /// each of them.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// use farrow_client::Retention;
    ///
    /// client.retain_prefix("", Retention::last(10)).await?;
    /// assert_eq!(client.retain_prefix("sales/", Retention::last(1)).await?.versions, 1);
    /// client.retain_prefix("sales/", None).await?;
    /// assert_eq!(client.stat("sales/orders").await?.retention, 10);
    /// # Ok(()) });
    /// ```
    pub async fn retain_prefix(
        &self,
        prefix: &str,
        retention: impl Into<Option<Retention>>,
    ) -> Result<Dropped, ClientError> {
        self.set_retention(RetentionTarget::Prefix(prefix.to_owned()), retention.into()).await
    }

    async fn set_retention(
        &self,
        target: RetentionTarget,
        retention: Option<Retention>,
    ) -> Result<Dropped, ClientError> {
        let request = retention::request(target, retention);
        self.connection.action_result::<v1::DropResult>(Action::Retain, &request).await.map(Dropped::from)
    }

    /// The retentions that are set and that hold for frames of `prefix` ([as `list`](Self::list) takes it): those of
    /// prefixes, then those of single frames, each by name. Those below which the client may read nothing are left out.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// use farrow_client::{Retention, RetentionTarget};
    ///
    /// client.retain_prefix("sales/", Retention::last(3)).await?;
    /// let rules = client.retentions("sales/orders").await?;
    /// assert_eq!(rules[0].target, RetentionTarget::Prefix("sales/".to_owned()));
    /// # Ok(()) });
    /// ```
    pub async fn retentions(&self, prefix: &str) -> Result<Vec<RetentionRule>, ClientError> {
        let mut rules: Vec<v1::RetentionRule> = Vec::new();
        loop {
            let after = rules.last().cloned();
            let request = v1::RetentionsRequest { prefix: prefix.to_owned(), after, limit: 0 };
            let page: Vec<v1::RetentionRule> = self.connection.action(Action::Retentions, &request).await?;
            if page.is_empty() {
                return Ok(rules.into_iter().map(RetentionRule::from).collect());
            }
            rules.extend(page);
        }
    }

    /// Removes the versions of all frames of `prefix` ([as `list`](Self::list) takes it) that are older than `age`, by the
    /// agent's clock; the latest version of each stays unless `latest` is set.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let week = std::time::Duration::from_secs(7 * 24 * 60 * 60);
    /// assert_eq!(client.expire("sales/", week, false).await?.versions, 0);
    /// # Ok(()) });
    /// ```
    pub async fn expire(&self, prefix: &str, age: Duration, latest: bool) -> Result<Dropped, ClientError> {
        let older_than_micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        let request = v1::ExpireRequest { prefix: prefix.to_owned(), older_than_micros, latest };
        self.connection.action_result::<v1::DropResult>(Action::Expire, &request).await.map(Dropped::from)
    }

    /// Has the agent make one more pool file, out of space that is in no famfs file: of `len` bytes, or with `None`
    /// of the largest range there is. Returns its bytes.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// // The pool file of this region has all of its space.
    /// let error = client.grow(None).await.unwrap_err();
    /// assert_eq!(error.reason(), Some(farrow_client::Reason::RegionFull));
    /// # Ok(()) });
    /// ```
    pub async fn grow(&self, len: Option<u64>) -> Result<u64, ClientError> {
        let request = v1::GrowRequest { len: len.unwrap_or(0) };
        let grown: v1::GrowResult = self.connection.action_result(Action::Grow, &request).await?;
        Ok(grown.len)
    }

    /// The leases, oldest first.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let frame = client.get("sales/orders").await?;
    /// let leases = client.leases().await?;
    /// assert_eq!((leases[0].pid, leases[0].version), (std::process::id(), frame.version()));
    /// # Ok(()) });
    /// ```
    pub async fn leases(&self) -> Result<Vec<LeaseInfo>, ClientError> {
        let leases: Vec<v1::LeaseInfo> = self.connection.action(Action::Leases, &()).await?;
        Ok(leases.into_iter().map(LeaseInfo::from).collect())
    }

    /// The use of the region's space.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let usage = client.usage().await?;
    /// assert_eq!((usage.frames, usage.versions), (1, 2));
    /// println!("{} of {} bytes are free", usage.free, usage.pool_bytes);
    /// # Ok(()) });
    /// ```
    pub async fn usage(&self) -> Result<Usage, ClientError> {
        Ok(self.connection.action_result::<v1::Usage>(Action::Usage, &()).await?.into())
    }

    /// The state of the agent: that it serves, or why it does not. An agent that does not answer is an error.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let health = client.health().await?;
    /// assert!(health.serving, "{:?}", health.why);
    /// # Ok(()) });
    /// ```
    pub async fn health(&self) -> Result<Health, ClientError> {
        Ok(self.connection.action_result::<v1::HealthInfo>(Action::Health, &()).await?.into())
    }
}
