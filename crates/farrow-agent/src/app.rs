//! The agent as a whole: built (everything opened and bound), then run until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use farrow_region::RegionError;
use farrow_region::trust::own_directory;
use farrow_store::HostId;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tonic_health::server::HealthReporter;

use crate::access::Access;
use crate::config::Config;
use crate::error::AgentError;
use crate::family_pages::FamilyPages;
use crate::health::Health;
use crate::holders::Holders;
use crate::housekeeping::{Housekeeping, report};
use crate::leases::{Inherited, Leases};
use crate::limits::Limits;
use crate::listen::{Gate, SocketFile, TcpConnections, UnixConnections, map_socket_name};
use crate::lock_holder::{LockHolder, after_the_dying};
use crate::map_socket::MapSocket;
use crate::metrics::{Exposition, Metrics};
use crate::region::{Region, Scrubber};
use crate::reload::Reload;
use crate::server::{Services, told_to_stop};
use crate::service::{HealthVerbs, Service};
use crate::signals::{Signal, Signals};
use crate::{http, mappers, systemd};

/// An agent that holds its region and its sockets.
pub struct App {
    services: Services,
    region: Arc<Region>,
    leases: Arc<Leases>,
    health: Arc<Health>,
    limits: watch::Sender<Limits>,
    socket: SocketFile,
    unix: UnixListener,
    map_socket: (SocketFile, UnixListener),
    tcp: Option<TcpListener>,
    access: Arc<Access>,
    http: Option<TcpListener>,
}

impl App {
    /// Opens the region, takes up what an earlier agent left, and binds the sockets, in this order: a socket that
    /// exists belongs to an agent that serves.
    pub async fn build(config: &Config) -> anyhow::Result<Self> {
        let access = Arc::new(Access::load(config).map_err(crate::access::refused)?);
        let path = config.region.as_ref().context("no region is named")?;
        crate::process::check_proc()?;
        crate::descriptors::raise();
        let host = HostId::discover(config.system_uuid_file.as_deref())?;
        let region = after_the_dying(|| Region::open(path, host, config.validate), locked);
        let region = region.map_err(name_lock_holder)?;
        let region = Arc::new(region.with_map_socket(map_socket_name(&config.socket())));

        let state_dir = config.state_dir();
        own_directory(&state_dir)
            .context("the directory for the agent's state: choose another place with --state-dir")?;
        let mut holders = Holders::open(&state_dir.join(format!("{}.holders", region.uuid())))?;
        if holders.is_missing() {
            put_on_record(&mut holders, &region)?;
        }
        let limits = watch::Sender::new(config.limits.clone());
        let store = region.store().clone();
        // Numbers of an earlier agent's are not given out again.
        let pages = FamilyPages::open(
            &state_dir.join(format!("{}.pages", region.uuid())),
            (store.view().epoch() << 32) | 1,
        )?;
        let processes = crate::descriptors::processes(&config.limits, config.tcp.listen.is_some());
        let inherited = Inherited::new(pages);
        let leases = Leases::take_up(store, host, holders, inherited, limits.subscribe(), processes)?;

        Scrubber::start(&region).context("start a thread")?;

        let (tcp, http) = (bind(config.tcp.listen).await?, bind(config.http.listen).await?);
        if config.socket.is_none() {
            // Where clients look who were told nothing.
            own_directory(&farrow_proto::own_directory())
                .context("the directory of the default socket: choose another place with --socket")?;
        }
        // Made alike, so for the same users.
        let map_socket =
            SocketFile::bind(&config.socket().with_file_name(map_socket_name(&config.socket())))?;
        let (socket, unix) = SocketFile::bind(&config.socket())?;
        let (metrics, health) = (Metrics::new(), Arc::new(Health::new()));
        let service = Service::new(
            region.clone(),
            leases.clone(),
            access.clone(),
            health.clone(),
            metrics.clone(),
            limits.subscribe(),
        )?;
        let reporter = HealthReporter::new();
        let verbs = HealthVerbs::new(reporter.clone());
        let services = Services { service, metrics, reporter, health: verbs };
        Ok(Self { services, region, leases, health, limits, socket, unix, map_socket, tcp, access, http })
    }

    #[cfg(test)]
    pub(crate) fn service(&self) -> &Service {
        &self.services.service
    }

    /// The address of the TCP listener, if there is one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// The address of health and metrics, if there is one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref()?.local_addr().ok()
    }

    /// The path of the unix socket.
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }

    /// By which pages the region is mapped, in words; why that is not known, if it is not.
    pub fn pages(&self) -> String {
        self.region.pages().unwrap_or_else(|error| crate::error::chain(&error))
    }

    /// Serves until it is told to stop, then lets requests under way end.
    pub async fn run(self, mut signals: Signals, mut reload: Reload) -> anyhow::Result<()> {
        let Self { services, region, leases, health, limits, socket, unix, map_socket, tcp, access, http } =
            self;
        let (map_socket_file, map_listener) = map_socket;
        let map_socket = MapSocket::new(region.clone(), access.clone(), leases.clone());
        let Services { metrics, reporter, .. } = &services;
        let settings = limits.borrow().clone();
        let gate = |listener| Gate::new(listener, limits.subscribe(), metrics);
        let over_unix = services.over_unix(&settings).serve_with_incoming_shutdown(
            gate("unix").admit(UnixConnections::new(unix)),
            told_to_stop(health.stopping()),
        );
        let over_tcp = async {
            let Some(listener) = tcp else { return Ok(()) };
            let connections = gate("tcp").admit(TcpConnections::new(listener, access.tls().cloned()));
            let stop = told_to_stop(health.stopping());
            services.over_tcp(&settings).serve_with_incoming_shutdown(connections, stop).await
        };
        let figures = async {
            match http {
                Some(listener) => {
                    let exposition = Exposition::new(metrics, region.clone(), leases.clone(), health.clone());
                    http::serve(listener, health.clone(), exposition, metrics).await
                }
                None => std::future::pending().await,
            }
        };
        let housekeeping = Housekeeping {
            region: region.clone(),
            leases: leases.clone(),
            health: health.clone(),
            reporter: reporter.clone(),
        };
        let serve = async {
            tokio::select! {
                ended = futures::future::try_join(over_unix, over_tcp) => ended.map(drop).context("serve"),
                ended = figures => ended.context("serve health and metrics"),
                broken = housekeeping.run() => Err(broken.into()),
                never = map_socket.serve(map_listener) => match never {},
            }
        };
        tokio::pin!(serve);
        let status = format!("serving region {}", region.uuid());
        systemd::ready(&status);
        let name = loop {
            tokio::select! {
                ended = &mut serve => return ended,
                signal = signals.next() => match signal {
                    Signal::Stop(name) => break name,
                    Signal::Reload => {
                        systemd::reloading();
                        reload.again(&access, &limits);
                        systemd::ready(&status);
                    }
                },
            }
        };
        let drain = reload.config().drain;
        tracing::info!(?drain, "stopping: {name}");
        systemd::stopping();
        // The name goes first: who connects from now on is told at once that nobody serves here.
        drop((socket, map_socket_file));
        health.stop();
        report(reporter, false).await;
        tokio::select! {
            ended = tokio::time::timeout(drain, serve) => match ended {
                Ok(ended) => ended,
                Err(_) => {
                    tracing::warn!(?drain, "requests were cut off after the time to drain");
                    Ok(())
                }
            },
            name = signals.stop() => {
                tracing::warn!("requests were cut off: {name} came again");
                Ok(())
            }
        }
    }
}

async fn bind(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => {
            TcpListener::bind(address).await.map(Some).with_context(|| format!("listen on {address}"))
        }
        None => Ok(None),
    }
}

/// The file that another process has locked, where that is why the region cannot be opened.
fn locked(error: &AgentError) -> Option<PathBuf> {
    match error {
        AgentError::Region(RegionError::InUse { path })
        | AgentError::Store(farrow_store::StoreError::Media(RegionError::InUse { path })) => {
            Some(path.clone())
        }
        _ => None,
    }
}

/// Says which process has the region, where that is why it cannot be opened.
fn name_lock_holder(error: AgentError) -> anyhow::Error {
    match locked(&error).and_then(|path| LockHolder::of(&path)) {
        Some(holder) => anyhow::Error::from(error).context(format!("the region is locked by {holder}")),
        None => error.into(),
    }
}

/// Where there is no record of those who map the region, they are looked for.
fn put_on_record(holders: &mut Holders, region: &Region) -> anyhow::Result<()> {
    let found = mappers::of(&region.files()?).context("look for processes that map the region")?;
    for (id, uid) in found {
        holders.add(id, uid).with_context(|| format!("write {}", holders.path().display()))?;
        tracing::warn!(
            pid = id.pid,
            record = %holders.path().display(),
            "it maps the region, and there was no record of it: was the state directory changed, or emptied? What was \
             committed before this start is kept until it ends"
        );
    }
    Ok(())
}
