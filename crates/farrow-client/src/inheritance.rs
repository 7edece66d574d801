//! Mappings that forked children go on reading, and the messages by which the agent waits for those children.
//!
//! The agent gives each client a page, which its children have as long as they have what it maps (see
//! [`farrow_region::Family`], and "Pages" in `proto/farrow/v1/map_socket.proto`). A client that has forked says so before it
//! releases what a child may have inherited, and goes on with another page.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use farrow_proto::{Action, v1};
use farrow_region::Family;

use crate::connection::Connection;
use crate::map_socket;

/// The family of one client's mappings.
#[derive(Debug)]
pub(crate) struct Inheritance {
    family: Arc<Family>,
    /// The map socket that gives pages, and the region; `None`: it gives none.
    pages: OnceLock<Option<(PathBuf, Bytes)>>,
}

impl Inheritance {
    /// Without a page: nothing is inherited.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { family: Family::new(), pages: OnceLock::new() })
    }

    /// To map something that children may read.
    pub(crate) fn family(&self) -> &Arc<Family> {
        &self.family
    }

    /// Gets a page from this map socket, before anything is mapped. Only the first call asks; where there is none to be had,
    /// children read nothing that this client maps.
    pub(crate) fn begin(&self, socket: &Path, region: &Bytes) {
        if self.pages.get().is_some() {
            return;
        }
        let pages = match self.enter(socket, region) {
            Ok(()) => Some((socket.to_owned(), region.clone())),
            Err(why) => {
                tracing::debug!(why, "forked children cannot read what is mapped");
                None
            }
        };
        // Two threads may have asked: then the page of the first is over.
        let _ = self.pages.set(pages);
    }

    /// Tells the agent of forks that it does not know of, and takes another page. Returns up to which number leases must not
    /// be released, because that failed.
    pub(crate) async fn tell(&self, connection: &Connection) -> Option<u64> {
        if let Some(fork) = self.family.untold() {
            let request = v1::ReleaseRequest { leases: Vec::new(), page: fork.page, up_to: fork.up_to };
            let told = connection.action_result::<v1::ReleaseResult>(Action::Release, &request).await;
            if let Err(error) = told {
                tracing::warn!(%error, "leases that forked children may need are kept until this process ends");
                return Some(fork.up_to);
            }
            self.family.told(&fork);
        }
        if self.family.shares_page()
            && let Some(Some((socket, region))) = self.pages.get()
            && let Err(why) = self.enter(socket, region)
        {
            // Until then nothing comes free that children have left.
            tracing::debug!(why, "another page is asked for at the next release");
        }
        None
    }

    fn enter(&self, socket: &Path, region: &Bytes) -> Result<(), String> {
        let (page, number) = map_socket::page(socket, region).map_err(|error| error.to_string())?;
        // If the process has forked meanwhile, this page is over, and the next call tells the fork.
        self.family.enter(&page, number).map(drop).map_err(|error| error.to_string())
    }
}
