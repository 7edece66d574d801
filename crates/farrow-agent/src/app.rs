//! The agent as a whole: built (everything opened and bound), then run until it is told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use farrow_store::HostId;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::Router;

use crate::access::Access;
use crate::config::Config;
use crate::error::AgentError;
use crate::holders::Holders;
use crate::leases::Leases;
use crate::limits::Limits;
use crate::listen::{SocketFile, TcpConnections, UnixConnections, map_socket_name};
use crate::map_socket::MapSocket;
use crate::region::Region;
use crate::service::{Service, Verbs};

/// How often processes that hold nothing are taken off the record, and the region's memory is looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// An agent that holds its region and its sockets.
pub struct App {
    service: Service,
    region: Arc<Region>,
    leases: Arc<Leases>,
    socket: SocketFile,
    unix: UnixListener,
    map_socket: (SocketFile, UnixListener),
    tcp: Option<TcpListener>,
    access: Arc<Access>,
    drain: Duration,
    limits: Limits,
}

impl App {
    /// Opens the region, takes up what an earlier agent left, and binds the sockets, in this order: a socket that
    /// exists belongs to an agent that serves.
    pub async fn build(config: &Config) -> anyhow::Result<Self> {
        let access = Arc::new(Access::load(config).map_err(crate::access::refused)?);
        let region = config.region.as_ref().context("no region is given")?;
        crate::process::check_proc()?;
        let host = HostId::discover(config.system_uuid_file.as_deref())?;
        let region = Region::open(region, host, config.validate)?;
        let region = Arc::new(region.with_map_socket(map_socket_name(&config.socket())));

        let state_dir = config.state_dir();
        own_directory(&state_dir)?;
        let holders = Holders::open(&state_dir.join(format!("{}.holders", region.uuid())))?;
        let leases = Leases::take_up(region.store().clone(), host, holders)?;

        let tcp = match config.tcp.listen {
            Some(address) => {
                Some(TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?)
            }
            None => None,
        };
        // Made alike, so for the same users.
        let map_socket =
            SocketFile::bind(&config.socket().with_file_name(map_socket_name(&config.socket())))?;
        let (socket, unix) = SocketFile::bind(&config.socket())?;
        let service = Service::new(region.clone(), leases.clone(), access.clone(), &config.limits)?;
        let (drain, limits) = (config.drain, config.limits.clone());
        Ok(Self { service, region, leases, socket, unix, map_socket, tcp, access, drain, limits })
    }

    /// Who may connect and do what, to be reloaded while the agent serves.
    pub fn access(&self) -> Arc<Access> {
        self.access.clone()
    }

    /// The address of the TCP listener, if there is one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// The path of the unix socket.
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }

    /// By which pages the region is mapped, in words; why that is not known, if it is not.
    pub fn pages(&self) -> String {
        self.region.pages().unwrap_or_else(|error| crate::error::chain(&error))
    }

    /// Serves until `stop` is done, then lets requests under way end.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { service, region, leases, socket, unix, map_socket, tcp, access, drain, limits } = self;
        let (map_socket_file, map_listener) = map_socket;
        let map_socket = MapSocket::new(region.clone(), access.clone());
        let (stopping, stopped) = watch::channel(false);
        let over_unix = router(&service, &limits)
            .serve_with_incoming_shutdown(UnixConnections::new(unix), told_to_stop(stopped.clone()));
        let over_tcp = async {
            match tcp {
                Some(listener) => {
                    router(&service, &limits)
                        .serve_with_incoming_shutdown(
                            TcpConnections::new(listener, access.tls().cloned()),
                            told_to_stop(stopped.clone()),
                        )
                        .await
                }
                None => Ok(()),
            }
        };
        let serve = async {
            tokio::select! {
                ended = futures::future::try_join(over_unix, over_tcp) => ended.map(drop).context("serve"),
                broken = keep_house(&leases, &region) => Err(broken.into()),
                never = map_socket.serve(map_listener) => match never {},
            }
        };
        tokio::pin!(serve);
        tokio::select! {
            ended = &mut serve => ended?,
            () = stop => {
                // The name goes first: who connects from now on is told at once that nobody serves here.
                drop((socket, map_socket_file));
                stopping.send_replace(true);
                match tokio::time::timeout(drain, serve).await {
                    Ok(ended) => ended?,
                    Err(_) => tracing::warn!(?drain, "requests were cut off after the time to drain"),
                }
            }
        }
        Ok(())
    }
}

/// Makes a directory, or checks that nobody else can change what is in it.
fn own_directory(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
    if !farrow_proto::is_ours(path).with_context(|| path.display().to_string())? {
        bail!(
            "{} belongs to another user, who could change what is kept there: choose another place with --state-dir",
            path.display()
        );
    }
    Ok(())
}

fn router(service: &Service, limits: &Limits) -> Router {
    Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .add_service(Verbs::new(service, limits))
}

/// Does what is due now and then. Returns when the region cannot be served any more.
async fn keep_house(leases: &Leases, region: &Region) -> AgentError {
    let mut interval = tokio::time::interval(HOUSEKEEPING);
    let mut told = false;
    loop {
        interval.tick().await;
        if let Err(error) = region.check() {
            return error;
        }
        if !told && let Some(lost) = region.lost() {
            tracing::error!(%lost, "frames that lie there cannot be read, all others can");
            told = true;
        }
        region.report_log();
        leases.tidy();
    }
}

async fn told_to_stop(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever could stop the agent.
    let _ = stopped.wait_for(|stop| *stop).await;
}
